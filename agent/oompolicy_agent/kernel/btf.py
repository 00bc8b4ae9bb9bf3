# SPDX-License-Identifier: Apache-2.0
"""Read struct layouts from BTF, so that loader and agent can check theirs without a tool on the node.

Format: Documentation/bpf/btf.rst in the kernel's tree.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy_agent.kernel.layout import StructLayout, check_against_btf

if TYPE_CHECKING:
    from pathlib import Path

ELF: Final = b"\x7fELF"
"""The first bytes of an ELF file."""

_MAGIC: Final = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = range(9, 16)
_FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = range(16, 20)

# Bytes that follow the 12 of every type, and how many more for each of its vlen members.
_TAIL: Final = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_PER_MEMBER: Final = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}
_SIZED: Final = {_INT, _STRUCT, _UNION, _ENUM, _FLOAT, _ENUM64}
_ALIASES: Final = {_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG}


class BTFError(ValueError):
    """The bytes are no BTF, or an ELF file without it. The message says which."""


class _Member(NamedTuple):
    name: str
    type_id: int
    offset: int  # bytes


class _Type(NamedTuple):
    kind: int
    name: str
    size_or_type: int
    members: tuple[_Member, ...]
    tail: bytes


def check_object(path: Path) -> str | None:
    """Return None if the BPF object at `path` agrees with `layout`, else a sentence. OSError if unreadable."""
    try:
        return check_against_btf(structs(path.read_bytes()))
    except BTFError as error:
        return f"{path.name}: {error}"


def structs(data: bytes) -> dict[str, StructLayout]:
    """Return every named struct in an ELF object's `.BTF` section or in a raw blob, by name."""
    types = _types(section(data, b".BTF") if data.startswith(ELF) else data)
    return {t.name: _layout(types, t) for t in types if t.kind == _STRUCT and t.name}


def section(elf: bytes, wanted: bytes) -> bytes:
    """Return one section of a 64-bit little-endian ELF file, such as a kernel module. BTFError without it."""
    if elf[4:6] != b"\x02\x01":
        raise BTFError("not a 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", elf, 40)
    size, count, names_index = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, offset + i * size) for i in range(count)]
    names = headers[names_index][4]
    for name, _, _, _, start, length in headers:
        if elf.startswith(wanted + b"\0", names + name):
            return elf[start : start + length]
    raise BTFError(f"no {wanted.decode()} section")


def _types(blob: bytes) -> list[_Type]:
    """Return all types in order. Index 0 is void."""
    if len(blob) < 24 or struct.unpack_from("<H", blob)[0] != _MAGIC:
        raise BTFError("not little-endian BTF")
    header, type_off, type_len, str_off, str_len = struct.unpack_from("<IIIII", blob, 4)
    strings = blob[header + str_off : header + str_off + str_len]
    at, end = header + type_off, header + type_off + type_len
    types = [_Type(0, "", 0, (), b"")]
    while at < end:
        name, info, size_or_type = struct.unpack_from("<III", blob, at)
        kind, vlen = (info >> 24) & 0x1F, info & 0xFFFF
        if not _INT <= kind <= _ENUM64:
            raise BTFError(f"unknown BTF kind {kind}")
        tail = blob[at + 12 : at + 12 + _TAIL.get(kind, 0) + vlen * _PER_MEMBER.get(kind, 0)]
        members = _members(strings, tail, bitfields=bool(info >> 31)) if kind == _STRUCT else ()
        types.append(_Type(kind, _string(strings, name), size_or_type, members, tail))
        at += 12 + len(tail)
    return types


def _members(strings: bytes, tail: bytes, *, bitfields: bool) -> tuple[_Member, ...]:
    # With the type's kind_flag set, the top 8 bits of the offset are a bit field's width.
    mask = 0xFFFFFF if bitfields else 0xFFFFFFFF
    return tuple(
        _Member(_string(strings, name), type_id, (bits & mask) // 8)
        for name, type_id, bits in struct.iter_unpack("<III", tail)
    )


def _layout(types: list[_Type], record: _Type) -> StructLayout:
    return StructLayout(record.size_or_type, {m.name: (m.offset, _size(types, m.type_id)) for m in record.members})


def _size(types: list[_Type], type_id: int) -> int:
    """Return the size of a type in bytes, and 0 for a type without one (void, functions)."""
    this = types[type_id]
    if this.kind in _SIZED:
        return this.size_or_type
    if this.kind == _PTR:
        return 8
    if this.kind == _ARRAY:
        element, _, count = struct.unpack("<III", this.tail)
        return int(count) * _size(types, element)
    return _size(types, this.size_or_type) if this.kind in _ALIASES else 0


def _string(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode()
