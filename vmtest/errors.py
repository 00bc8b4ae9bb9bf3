# SPDX-License-Identifier: Apache-2.0
"""Errors of the guest's harness.

HarnessError
├── ImageError    the image could not be made
├── BuildError    BPF objects, module or workload did not build in the image
├── QemuError     QEMU refused to start: nothing was tested
│   └── QemuAbortedError    QEMU ended itself before the guest's kernel ran
└── LostVMError   the guest vanished: panic, reset or deadline, and no exit status
"""


class HarnessError(Exception):
    """The harness failed, and not the command in the guest."""


class ImageError(HarnessError):
    """The image could not be made."""


class BuildError(HarnessError):
    """BPF objects, module or workload did not build in the image."""


class QemuError(HarnessError):
    """QEMU refused to start: nothing was tested."""


class QemuAbortedError(QemuError):
    """QEMU ended by an assertion of its own before the guest's kernel ran: nothing was tested."""


class LostVMError(HarnessError):
    """The guest vanished without an exit status."""

    def __init__(self, reason: str, console: str) -> None:
        super().__init__(f"{reason}; the console ends with:\n{console}")
        self.reason = reason
        self.console = console
