# SPDX-License-Identifier: Apache-2.0
"""The architectures that a guest can have, in the words of Debian, of the kernel and of QEMU."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Architecture:
    """A processor architecture, and QEMU's machine for it."""

    debian: str
    """Debian's name."""
    machine: str
    """The kernel's name, as `uname -m` prints it. QEMU's programs end with it."""
    board: tuple[str, ...]
    """QEMU's options for the board. Without options QEMU takes its default."""
    emulated: str
    """The processor of an emulated guest."""
    words: tuple[str, ...]
    """Words for the kernel's command line."""
    installed_by: str
    """The command that installs QEMU for this architecture."""

    @property
    def qemu(self) -> str:
        """QEMU's program for a whole machine."""
        return f"qemu-system-{self.machine}"

    @property
    def qemu_user(self) -> str:
        """QEMU's program for single programs."""
        return f"qemu-{self.machine}"

    def is_native(self) -> bool:
        """Return True if this machine has the architecture. Only then can KVM run the guest."""
        return platform.machine() == self.machine


AMD64: Final = Architecture(
    debian="amd64",
    machine="x86_64",
    board=(),
    # Without the hints that string instructions are fast. With these hints the guest clears pages by string
    # instructions, and QEMU executes each byte separately. Without them node tests take a quarter less of the
    # processor.
    emulated="max,erms=off,fsrm=off,fsrs=off,fzrm=off",
    # An emulated processor that has to wait for the host misses the ticks of the kernel's timer check.
    words=("console=ttyS0", "no_timer_check"),
    installed_by="scripts/setup",
)

ARM64: Final = Architecture(
    debian="arm64",
    machine="aarch64",
    # QEMU's default is version 2 of the interrupt controller. Servers have version 3.
    board=("-machine", "virt,gic-version=3"),
    # QEMU computes the signatures of pointers by the architecture's algorithm, which takes most of the time of a guest.
    emulated="max,pauth-impdef=on",
    words=("console=ttyAMA0",),
    installed_by="scripts/setup --arm64",
)
