# SPDX-License-Identifier: Apache-2.0
"""The agent reads struct layouts from BTF, raw or in an ELF object."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.btf import BTFError, check_object, structs
from oompolicy_agent.kernel.layout import StructLayout, describe

if TYPE_CHECKING:
    from pathlib import Path


class Blob:
    """BTF made by hand, after Documentation/bpf/btf.rst."""

    def __init__(self) -> None:
        self.strings, self.types, self.count = b"\0", b"", 0

    def string(self, text: str) -> int:
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def type(
        self, kind: int, size_or_type: int, *, name: str = "", vlen: int = 0, flag: int = 0, tail: bytes = b""
    ) -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack("<III", self.string(name) if name else 0, info, size_or_type) + tail
        self.count += 1
        return self.count

    def integer(self, size: int) -> int:
        return self.type(1, size, name=f"u{8 * size}", tail=struct.pack("<I", 8 * size))

    def array(self, element: int, count: int) -> int:
        return self.type(3, 0, tail=struct.pack("<III", element, element, count))

    def struct(self, name: str, size: int, *members: tuple[str, int, int], flag: int = 0) -> int:
        tail = b"".join(struct.pack("<III", self.string(field), type_id, bits) for field, type_id, bits in members)
        return self.type(4, size, name=name, vlen=len(members), flag=flag, tail=tail)

    def raw(self) -> bytes:
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings


def elf(content: bytes, name: str = ".BTF") -> bytes:
    """Return an ELF file with the sections ``, `name` and `.shstrtab`."""
    names = f"\0{name}\0.shstrtab\0".encode()
    table = 64 + len(content) + len(names)
    sections = [(0, 0, 0), (1, 64, len(content)), (len(name) + 2, 64 + len(content), len(names))]
    headers = b"".join(struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, at, size, 0, 0, 0, 0) for name, at, size in sections)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2
    )
    return head + content + names + headers


@pytest.fixture
def blob() -> Blob:
    made = Blob()
    u64, u8 = made.integer(8), made.integer(1)
    alias = made.type(8, u64, name="__u64")
    constant = made.type(10, alias)
    pointer = made.type(2, 0)
    names = made.array(made.array(u8, 96), 12)
    union = made.type(5, 16, name="both", vlen=1, tail=struct.pack("<III", 0, u64, 0))
    made.type(15, 24, name=".maps", vlen=1, tail=struct.pack("<III", u64, 0, 8))
    made.struct(
        "record", 2000, ("id", constant, 0), ("next", pointer, 64), ("names", names, 128), ("both", union, 9344)
    )
    made.struct("bits", 8, ("low", u64, 3 << 24), ("high", u64, 61 << 24 | 8), flag=1)
    return made


def test_fields_have_offset_and_size_in_bytes(blob: Blob) -> None:
    """This holds for typedefs, qualifiers, pointers, nested arrays, unions and bit fields."""
    expected = {
        "record": StructLayout(2000, {"id": (0, 8), "next": (8, 8), "names": (16, 1152), "both": (1168, 16)}),
        "bits": StructLayout(8, {"low": (0, 8), "high": (1, 8)}),
    }

    assert expected == structs(blob.raw())


def test_the_section_of_an_elf_object_is_read(blob: Blob) -> None:
    """An object file gives the same layouts as the raw bytes."""
    assert structs(blob.raw()) == structs(elf(blob.raw()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not little-endian BTF"),
        (b"\x7fELF\x01\x01".ljust(64, b"\0"), "not a 64-bit little-endian ELF file"),
        (elf(b"").replace(b".BTF", b".txt"), "no .BTF section"),
        (Blob().raw()[:24] + b"\0" * 40, None),
    ],
)
def test_data_without_btf_is_an_error(data: bytes, message: str | None) -> None:
    """The error is one sentence. An empty type section is valid."""
    if message is None:
        assert {} == structs(data)
        return
    with pytest.raises(BTFError, match=message):
        structs(data)


def test_an_unknown_kind_is_an_error() -> None:
    """The length of an unknown kind is unknown too, so the rest cannot be read."""
    made = Blob()
    made.type(31, 0)
    with pytest.raises(BTFError, match="unknown BTF kind 31"):
        structs(made.raw())


def test_an_object_is_checked_against_the_layout(tmp_path: Path) -> None:
    """The check returns one sentence if they differ, and nothing if they agree."""
    made = Blob()
    byte = made.integer(1)
    for name, ours in describe().items():
        fields = [(field, made.array(byte, size), 8 * offset) for field, (offset, size) in ours.fields.items()]
        made.struct(name, ours.size, *fields)
    good, bad = tmp_path / "good.bpf.o", tmp_path / "bad.bpf.o"
    good.write_bytes(elf(made.raw()))
    bad.write_bytes(b"nonsense")

    assert check_object(good) is None
    assert check_object(bad) == "bad.bpf.o: not little-endian BTF"
