# SPDX-License-Identifier: Apache-2.0
"""The kernel's BTF: where a field is in a struct of the running kernel. Pure: bytes in, offsets out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = 0xEB9F


class Kind(IntEnum):
    """The kinds of types, as include/uapi/linux/btf.h numbers them."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


FIXED: Final = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
"""The bytes after the head of a type. Kinds that are missing here and below have none."""
PER_MEMBER: Final = {
    **dict.fromkeys((Kind.STRUCT, Kind.UNION, Kind.DATASEC, Kind.ENUM64), 12),
    **dict.fromkeys((Kind.ENUM, Kind.FUNC_PROTO), 8),
}
ALIASES: Final = (Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)


class BtfError(Exception):
    """The BTF cannot be read, or has no such type or field."""


@dataclass(frozen=True)
class Place:
    """The bytes between the begin of a struct and a field of it, and the type of the field."""

    offset: int
    type_id: int


class Btf:
    """The types of one kernel."""

    def __init__(self, data: bytes) -> None:
        try:
            magic, _, _, header, types, types_size, strings, strings_size = struct.unpack_from("<HBBIIIII", data)
        except struct.error as error:
            raise BtfError("the BTF is shorter than its header") from error
        if magic != MAGIC:
            raise BtfError(f"the BTF begins with {magic:#x} instead of {MAGIC:#x}")
        self._data = data
        self._strings = data[header + strings : header + strings + strings_size]
        self._heads, self._named = index(data, header + types, header + types + types_size)

    def place(self, owner: str, *path: str) -> Place:
        """Return the place of a field, for example `place("oom_control", "chosen")`. A path leads into structs."""
        place = Place(0, self._find(Kind.STRUCT, owner))
        for name in path:
            inner = self._member(place.type_id, name)
            if inner is None:
                raise BtfError(f"struct {owner} has no field {'.'.join(path)}")
            place = Place(place.offset + inner.offset, inner.type_id)
        return place

    def kind(self, type_id: int) -> Kind:
        """Return the kind of a type."""
        return Kind(self._head(type_id)[1] >> 24 & 0x1F)

    def plain(self, type_id: int) -> int:
        """Return the type behind typedefs and qualifiers."""
        while self.kind(type_id) in ALIASES:
            type_id = self._head(type_id)[2]
        return type_id

    def size(self, type_id: int) -> int:
        """Return the size of a struct or union in bytes."""
        return self._head(self.plain(type_id))[2]

    def array(self, type_id: int) -> tuple[int, int]:
        """Return the type of an array's elements, and their number."""
        element, _, count = struct.unpack_from("<III", self._data, self._heads[self.plain(type_id)] + 12)
        return element, count

    def parameters(self, typedef: str) -> list[int]:
        """Return the types of the parameters of a function type, for example `btf_trace_mark_victim`."""
        pointer = self.plain(self._find(Kind.TYPEDEF, typedef))
        function = self.plain(self._head(pointer)[2])
        count = self._head(function)[1] & 0xFFFF
        start = self._heads[function] + 12
        return [struct.unpack_from("<II", self._data, start + 8 * each)[1] for each in range(count)]

    def _find(self, kind: Kind, name: str) -> int:
        # Each string is there once.
        offset = self._strings.find(b"\0%b\0" % name.encode()) + 1
        if not offset or (kind, offset) not in self._named:
            raise BtfError(f"the BTF of this kernel has no {kind.name.lower()} {name}")
        return self._named[kind, offset]

    def _head(self, type_id: int) -> tuple[int, int, int]:
        name, info, size_or_type = struct.unpack_from("<III", self._data, self._heads[type_id])
        return name, info, size_or_type

    def _name(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(0, offset)].decode()

    def _member(self, owner: int, wanted: str) -> Place | None:
        """Find a member, also in structs and unions without a name."""
        for name, type_id, offset in self._members(self.plain(owner)):
            if name == wanted:
                return Place(offset, type_id)
            if not name and self.kind(self.plain(type_id)) in (Kind.STRUCT, Kind.UNION):
                inner = self._member(type_id, wanted)
                if inner is not None:
                    return Place(offset + inner.offset, inner.type_id)
        return None

    def _members(self, owner: int) -> Iterator[tuple[str, int, int]]:
        _, info, _ = self._head(owner)
        if self.kind(owner) not in (Kind.STRUCT, Kind.UNION):
            return
        for each in range(info & 0xFFFF):
            name, type_id, bits = struct.unpack_from("<III", self._data, self._heads[owner] + 12 + 12 * each)
            # With the flag, the upper byte has the size of a bitfield.
            yield self._name(name), type_id, (bits & 0xFFFFFF if info >> 31 else bits) // 8


def index(data: bytes, start: int, end: int) -> tuple[list[int], dict[tuple[int, int], int]]:
    """Return the place of each type by its id, and the ids of structs and typedefs by kind and place of the name.

    A kernel has more than 100,000 types, so the loop handles plain numbers.
    """
    fixed = {int(kind): FIXED.get(kind, 0) for kind in Kind}
    per_member = {int(kind): PER_MEMBER.get(kind, 0) for kind in Kind}
    named_kinds = (int(Kind.STRUCT), int(Kind.TYPEDEF))
    places, named = [0], dict[tuple[int, int], int]()
    unpack = struct.Struct("<II").unpack_from
    while start < end:
        name, info = unpack(data, start)
        kind = info >> 24 & 0x1F
        if kind not in fixed:
            raise BtfError(f"the BTF has a type of the unknown kind {kind}")
        if kind in named_kinds:
            named.setdefault((kind, name), len(places))
        places.append(start)
        start += 12 + fixed[kind] + per_member[kind] * (info & 0xFFFF)
    return places, named
