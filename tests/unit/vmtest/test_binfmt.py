# SPDX-License-Identifier: Apache-2.0
"""The kernel starts QEMU for the programs of another architecture."""

from __future__ import annotations

import platform
import shutil
import struct
from dataclasses import replace

import pytest

from vmtest import binfmt
from vmtest.architecture import AMD64, ARM64
from vmtest.errors import ImageError

ENTRY = """\
enabled
interpreter /usr/bin/qemu-aarch64
flags: F
offset 0
magic 7f454c460201010000000000000000000200b700
"""


def matches(registration: str, header: bytes) -> bool:
    """Compare the start of a file as the kernel does: only in the bits of the mask."""
    magic, mask = (bytes.fromhex(part.replace("\\x", "")) for part in registration.split(":")[4:6])
    return all(byte & bits == wanted & bits for byte, wanted, bits in zip(header, magic, mask, strict=True))


def header(*, kind: int, machine: int, abi: int = 0) -> bytes:
    """Return the start of an ELF file for 64 bits."""
    return struct.pack("<4s5B7xHH", b"\x7fELF", 2, 1, 1, abi, 0, kind, machine)


@pytest.mark.parametrize("kind", [2, 3])
@pytest.mark.parametrize("abi", [0, 3])
def test_programs_of_the_architecture_are_recognized(kind: int, abi: int) -> None:
    """A program may be at a fixed address, and one of Linux may say so."""
    assert matches(binfmt.line(ARM64, "/q"), header(kind=kind, machine=183, abi=abi))


def test_other_files_are_not() -> None:
    """x86-64 has the number 62. An object that is not linked is no program."""
    registration = binfmt.line(ARM64, "/q")

    assert not matches(registration, header(kind=2, machine=62))
    assert not matches(registration, header(kind=1, machine=183))


def test_the_program_is_opened_at_the_registration() -> None:
    """The flag F does that. In a chroot the program's path does not exist."""
    words = binfmt.line(ARM64, "/usr/bin/qemu-aarch64").split(":")

    assert ["", "qemu-aarch64", "M", ""] == words[:4]
    assert ["/usr/bin/qemu-aarch64", "F"] == words[-2:]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ENTRY, True),
        (ENTRY.replace("flags: F", "flags: POCF"), True),
        (ENTRY.replace("flags: F", "flags: OC"), False),
        (ENTRY.replace("enabled", "disabled"), False),
    ],
)
def test_a_registration_by_another_program_is_checked(entry: str, *, expected: bool) -> None:
    assert expected == binfmt.works_in_a_chroot(entry)


def test_missing_qemu_is_an_error_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    other = replace(ARM64, machine="another")

    with pytest.raises(ImageError, match="qemu-another is not installed; scripts/setup --arm64 installs it"):
        binfmt.ensure_registered(other)


def test_the_own_architecture_needs_no_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    binfmt.ensure_registered(replace(AMD64, machine=platform.machine()))
