# SPDX-License-Identifier: Apache-2.0
"""Start QEMU, stream the command's output, and return how the guest ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vmtest import qemu
from vmtest.errors import LostVMError, QemuAbortedError, QemuError
from vmtest.progress import last_lines, say

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSOLE_LINES = 150


@dataclass(frozen=True)
class Boot:
    """All inputs of one boot. `folder` is empty and gets the output files of the guest."""

    machine: qemu.Machine
    vmlinuz: Path
    initrd: Path
    root: Path
    work: Path
    folder: Path

    @property
    def console(self) -> Path:
        """The output of the kernel on its serial line."""
        return self.folder / "console"

    @property
    def log(self) -> Path:
        """The kernel's log since the start of the command, if the guest lived long enough to write it."""
        return self.folder / "log"

    @property
    def status(self) -> Path:
        """The command's exit status, if the guest lived long enough to write it."""
        return self.folder / "status"

    @property
    def artifacts(self) -> Path:
        """A tar of the guest's /artifacts."""
        return self.folder / "artifacts.tar"


def boot(guest: Boot, output: BinaryIO, deadline: float | None) -> int:
    """Run the guest to its end and return the command's exit status.

    QEMU 10.0 rarely aborts while the firmware places the emulated devices: "iotlb_to_section: Assertion
    `section_index < d->map.sections_nb' failed". Nothing of the guest has run then, so QEMU is started once more.
    """
    qemu.check_version(guest.machine.architecture)
    try:
        return boot_once(guest, output, deadline)
    except QemuAbortedError as error:
        say(f"{error}; no code of the guest's kernel ran, so QEMU is started once more")
        return boot_once(guest, output, deadline)


def boot_once(guest: Boot, output: BinaryIO, deadline: float | None) -> int:
    """Run the guest to its end and return the command's exit status. QemuAbortedError: the kernel never ran."""
    errors = guest.folder / "qemu.log"
    with running(guest, errors) as (process, pipe):
        in_time = stream(pipe, output, deadline)
        if not in_time:
            process.kill()
        code = process.wait()
    if not in_time:
        raise LostVMError(f"the guest did not end within {deadline:.0f} s", console_end(guest))
    return read_status(guest, code, errors)


@contextlib.contextmanager
def running(guest: Boot, errors: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start QEMU so that it always ends with this process, and yield the pipe with the command's output."""
    read_end, write_end = os.pipe()
    try:
        ports = {"status": guest.status, "log": guest.log, "artifacts": guest.artifacts}
        files = qemu.Files(
            vmlinuz=guest.vmlinuz,
            initrd=guest.initrd,
            root=guest.root,
            work=guest.work,
            console=guest.console,
            ports={"output": Path(f"/dev/fd/{write_end}"), **ports},
        )
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *qemu.command_line(guest.machine, files)]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, pass_fds=[write_end]
            )
        os.close(write_end)
        try:
            yield process, read_end
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(read_end)


def stream(pipe: int, output: BinaryIO, deadline: float | None) -> bool:
    """Copy until QEMU ends, and return True if it ended in time."""
    end = None if deadline is None else time.monotonic() + deadline
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            return False
        chunk = os.read(pipe, 65536)
        if not chunk:
            return True
        output.write(chunk)
        output.flush()


def read_status(guest: Boot, code: int, errors: Path) -> int:
    """Distinguish an exit status, a lost guest, and a QEMU that never started."""
    text = guest.status.read_text().strip() if guest.status.exists() else ""
    if text:
        return int(text)
    said = last_lines(errors, 20).strip()
    if code and not last_lines(guest.console, 1):
        error = QemuAbortedError if code == -signal.SIGABRT else QemuError
        raise error(f"QEMU ended with status {code}: {said}")
    raise LostVMError(f"the guest vanished (QEMU's status {code}{': ' if said else ''}{said})", console_end(guest))


def console_end(guest: Boot) -> str:
    """Return the last lines of the console."""
    return last_lines(guest.console, CONSOLE_LINES)
