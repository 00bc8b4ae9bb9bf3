# SPDX-License-Identifier: Apache-2.0
"""Let this machine run programs of another architecture: the kernel starts QEMU for each of them.

The package qemu-user-binfmt does the same at the start of a machine with systemd. A container has no systemd.
The registration is the kernel's, so it lasts until the machine stops, and other programs see it.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from vmtest.chroot import private_command
from vmtest.errors import ImageError

if TYPE_CHECKING:
    from vmtest.architecture import Architecture

FOLDER: Final = "/proc/sys/fs/binfmt_misc"

E_MACHINE: Final = {"aarch64": 183}
"""The numbers of the architectures in the header of an ELF file."""

# $1 is the name and $2 the line of the registration. The mount ends with this script.
REGISTER: Final = f"""
mount -t binfmt_misc binfmt_misc {FOLDER}
[ -e "{FOLDER}/$1" ] || printf %s "$2" >{FOLDER}/register
cat "{FOLDER}/$1"
"""


def ensure_registered(architecture: Architecture) -> None:
    """Register QEMU for programs of an architecture, if this machine does not run them already.

    Raises:
        ImageError: QEMU is missing, or this machine registers nothing.
    """
    if architecture.is_native():
        return
    name = architecture.qemu_user
    program = shutil.which(name)
    if program is None:
        raise ImageError(f"{name} is not installed; {architecture.installed_by} installs it")
    command = private_command(REGISTER, [name, line(architecture, program)])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(
            f"this machine cannot run programs of {architecture.debian}. Registering {program} in {FOLDER} takes root "
            f"and a kernel with binfmt_misc: {done.stderr.strip()}"
        )
    if not works_in_a_chroot(done.stdout):
        raise ImageError(
            f"{FOLDER}/{name} does not work in a chroot. Remove it, or enable it with the flag F:\n{done.stdout}"
        )


def line(architecture: Architecture, program: str) -> str:
    """Write the registration of a program for the executable files of an architecture.

    The flag F opens the program now, so that a chroot needs no copy of it.
    """
    # ELF, 64 bits, little endian, version 1. The byte of the ABI and the padding follow.
    start = b"\x7fELF\x02\x01\x01" + bytes(9)
    # Type 2 is a program at a fixed address, and type 3 one at any address.
    magic = start + (2).to_bytes(2, "little") + E_MACHINE[architecture.machine].to_bytes(2, "little")
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff" + b"\xff\xff"
    return f":{architecture.qemu_user}:M::{escaped(magic)}:{escaped(mask)}:{program}:F"


def escaped(raw: bytes) -> str:
    """Write bytes as the kernel reads them."""
    return "".join(f"\\x{byte:02x}" for byte in raw)


def works_in_a_chroot(entry: str) -> bool:
    """Return True if an entry, as the kernel prints it, is enabled and its program is open already."""
    lines = entry.splitlines()
    flags = next((each.removeprefix("flags:") for each in lines if each.startswith("flags:")), "")
    return "enabled" in lines and "F" in flags
