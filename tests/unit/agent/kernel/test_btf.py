# SPDX-License-Identifier: Apache-2.0
"""The agent reads struct layouts from BTF, raw or in an ELF object."""

from __future__ import annotations

import struct
from itertools import product
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.btf import BTFError, MissingBTFError, check_object, opened
from oompolicy_agent.kernel.layout import StructLayout, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Blob:
    """BTF made by hand, after Documentation/bpf/btf.rst."""

    def __init__(self) -> None:
        self.start, self.strings, self.types, self.count = 0, b"\0", b"", 0

    def string(self, text: str) -> int:
        offset = self.start + len(self.strings)
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

    def function(self, name: str) -> int:
        return self.type(12, self.type(13, 0), name=name)

    def raw(self) -> bytes:
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings


def elf(content: bytes, name: str = ".BTF") -> bytes:
    """Return an ELF file with the sections ``, `name` and `.shstrtab`."""
    names = f"\0{name}\0.shstrtab\0".encode()
    table = 64 + len(content) + len(names)
    sections = [(0, 0, 0, 0), (1, 1, 64, len(content)), (len(name) + 2, 3, 64 + len(content), len(names))]
    headers = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, size, 0, 0, 0, 0) for name, kind, at, size in sections
    )
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2
    )
    return head + content + names + headers


def function(name: str) -> bytes:
    """Return BTF with one function."""
    made = Blob()
    made.function(name)
    return made.raw()


def split(base: Blob) -> Blob:
    """Return BTF that continues `base`. Its ids and string offsets count from the end of the base."""
    made = Blob()
    made.start, made.strings, made.count = len(base.strings), b"", base.count
    return made


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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "types"


def structs(file: Path, content: bytes, *names: str) -> dict[str, StructLayout | None]:
    file.write_bytes(content)
    with opened(file) as types:
        return {name: types.struct(name) for name in names}


def test_fields_have_offset_and_size_in_bytes(blob: Blob, file: Path) -> None:
    """This holds for typedefs, qualifiers, pointers, nested arrays, unions and bit fields."""
    expected = {
        "record": StructLayout(2000, {"id": (0, 8), "next": (8, 8), "names": (16, 1152), "both": (1168, 16)}),
        "bits": StructLayout(8, {"low": (0, 8), "high": (1, 8)}),
    }

    assert expected == structs(file, blob.raw(), "record", "bits")


def test_the_section_of_an_elf_object_is_read(blob: Blob, file: Path) -> None:
    """An object file gives the same layouts as the raw bytes."""
    raw = structs(file, blob.raw(), "record", "bits")

    assert None not in raw.values()
    assert raw == structs(file, elf(blob.raw()), "record", "bits")


def test_only_a_struct_of_this_name_is_found(blob: Blob, file: Path) -> None:
    """A union or a typedef with the name is no struct."""
    assert {"both": None, "__u64": None, "other": None} == structs(file, blob.raw(), "both", "__u64", "other")


def test_only_a_function_of_this_name_is_found(blob: Blob, file: Path) -> None:
    """A struct with the name is no function."""
    blob.function("call")
    file.write_bytes(blob.raw())
    with opened(file) as types:
        assert types.has_function("call")
        assert not types.has_function("record")


def test_a_modules_types_continue_the_kernels(blob: Blob, tmp_path: Path) -> None:
    """The function of a module is found with the BTF of the kernel as base, and `raw` has the module's part only."""
    module = split(blob)
    module.function("call")
    kernel_file, module_file = tmp_path / "vmlinux", tmp_path / "module"
    kernel_file.write_bytes(blob.raw())
    module_file.write_bytes(module.raw())
    with opened(module_file, kernel_file) as types:
        assert types.has_function("call")
        assert types.struct("record") is not None
        assert module.raw() == types.raw
    with pytest.raises(BTFError, match="damaged"), opened(module_file):
        pass


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither BTF nor an ELF file"),
        (b"nonsense", "neither BTF nor an ELF file"),
        (b"\x7fELF\x01\x01".ljust(64, b"\0"), "neither BTF nor an ELF file"),
        (elf(b"").replace(b".BTF", b".txt"), "no .BTF section"),
    ],
)
def test_a_file_without_btf_is_an_error(file: Path, data: bytes, message: str) -> None:
    """The error names the missing thing in one sentence."""
    with pytest.raises(MissingBTFError, match=message):
        structs(file, data, "record")


def test_an_empty_type_section_is_no_error(file: Path) -> None:
    """BTF may have no types."""
    assert {"record": None} == structs(file, Blob().raw()[:24] + b"\0" * 40, "record")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A missing file is not reported as a file without BTF."""
    with pytest.raises(FileNotFoundError, match="absent"), opened(tmp_path / "absent"):
        pass


def test_unknown_kinds_are_refused(file: Path) -> None:
    """The length of an unknown kind is not known, so no type after it can be read."""
    made = Blob()
    made.type(31, 0)
    with pytest.raises(BTFError, match="of a newer kind than libbpf knows"):
        structs(file, made.raw(), "record")


def test_a_member_without_a_size_is_refused(file: Path) -> None:
    """A member of a type that does not exist makes the struct unreadable."""
    made = Blob()
    made.struct("record", 8, ("id", 99, 0))
    with pytest.raises(BTFError, match="its BTF is damaged"):
        structs(file, made.raw(), "record")


@pytest.mark.parametrize("wrap", [bytes, elf], ids=["raw", "elf"])
def test_a_truncated_file_is_an_error(blob: Blob, file: Path, wrap: Callable[[bytes], bytes]) -> None:
    """A file that ends too early, at any byte, is reported and does not crash the process."""
    whole = wrap(blob.raw())
    for length in range(len(whole)):
        with pytest.raises(BTFError):
            structs(file, whole[:length], "record", "bits")


@pytest.mark.parametrize("wrap", [bytes, elf], ids=["raw", "elf"])
def test_a_damaged_byte_does_not_crash_the_process(blob: Blob, file: Path, wrap: Callable[[bytes], bytes]) -> None:
    """With any byte of the file replaced, the result is an error or a layout. Most damage to the header is an error."""
    whole = wrap(blob.raw())
    refused = 0
    for at, value in product(range(len(whole)), (0x00, 0x01, 0x7F, 0xFF)):
        try:
            structs(file, whole[:at] + bytes([value]) + whole[at + 1 :], "record", "bits")
        except BTFError:
            refused += 1

    assert refused > 24


def test_section_bounds_that_overflow_are_refused(blob: Blob, file: Path) -> None:
    """Offset and length of the types, which together exceed 32 bits, do not make libbpf read outside of the file."""
    damaged = bytearray(blob.raw())
    struct.pack_into("<II", damaged, 8, 0xFFFF_FFF0, 0x20)
    with pytest.raises(BTFError, match="its BTF is damaged"):
        structs(file, bytes(damaged), "record")


def test_an_object_is_checked_against_the_layout(tmp_path: Path) -> None:
    """The result is a sentence if object and layout differ, and None if they agree."""
    made = Blob()
    byte = made.integer(1)
    for name, ours in describe().items():
        fields = [(field, made.array(byte, size), 8 * offset) for field, (offset, size) in ours.fields.items()]
        made.struct(name, ours.size, *fields)
    good, bad = tmp_path / "good.bpf.o", tmp_path / "bad.bpf.o"
    good.write_bytes(elf(made.raw()))
    bad.write_bytes(b"nonsense")

    assert check_object(good) is None
    assert check_object(bad) == "bad.bpf.o: neither BTF nor an ELF file that libbpf can read"
