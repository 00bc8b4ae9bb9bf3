# SPDX-License-Identifier: Apache-2.0
"""The places of fields come from BTF, for each form that the kernels of Debian 11 to 13 give to a struct."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from oompolicy_trace import offsets
from oompolicy_trace.btf import Btf, BtfError, Kind

ANONYMOUS: Final = ""


class Types:
    """A small BTF in the making. Ids count from 1, in the order of the calls."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""
        self.count = 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        found = self.strings.find(b"\0%b\0" % text.encode())
        if found >= 0:
            return found + 1
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(
        self, kind: int, name: str, size_or_type: int, extra: bytes = b"", *, members: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | members
        self.types += struct.pack("<III", self.name(name), info, size_or_type) + extra
        self.count += 1
        return self.count

    def struct(
        self, name: str, size: int, *members: tuple[str, int, int], flag: int = 0, kind: int = Kind.STRUCT
    ) -> int:
        extra = b"".join(struct.pack("<III", self.name(member), type_id, bits) for member, type_id, bits in members)
        return self.add(kind, name, size, extra, members=len(members), flag=flag)

    def array(self, element: int, count: int) -> int:
        return self.add(Kind.ARRAY, "", 0, struct.pack("<III", element, element, count))

    def data(self) -> bytes:
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return head + self.types + self.strings


def number(types: Types) -> int:
    return types.add(Kind.INT, "long", 8, struct.pack("<I", 64))


def test_a_field_in_a_struct_without_a_name_counts_from_the_outer_struct() -> None:
    """`mm_struct` has all of its fields in such a struct."""
    types = Types()
    long = number(types)
    inner = types.struct(ANONYMOUS, 24, ("map_count", long, 0), ("pgtables_bytes", long, 128))
    types.struct("mm_struct", 64, ("first", long, 0), (ANONYMOUS, inner, 64))

    assert 24 == Btf(types.data()).place("mm_struct", "pgtables_bytes").offset


def test_a_path_leads_through_typedefs_into_a_struct() -> None:
    types = Types()
    long = number(types)
    inner = types.struct("inner", 16, ("a", long, 0), ("b", long, 64))
    alias = types.add(Kind.TYPEDEF, "inner_t", inner)
    types.struct("outer", 32, ("pad", long, 0), ("in", alias, 128))

    assert 24 == Btf(types.data()).place("outer", "in", "b").offset


def test_the_size_of_a_bitfield_is_no_part_of_its_place() -> None:
    """If a struct has a bitfield, BTF has the size of each field in the upper byte of the place."""
    types = Types()
    long = number(types)
    types.struct("task_struct", 16, ("bit", long, 1 << 24 | 0), ("pid", long, 64), flag=1)

    assert 8 == Btf(types.data()).place("task_struct", "pid").offset


def memory_of_62() -> bytes:
    """Since Linux 6.2 each counter of memory is one per CPU, with a number that all CPUs share."""
    types = Types()
    long = number(types)
    counter = types.struct("percpu_counter", 40, ("lock", long, 0), ("count", long, 64))
    types.struct("mm_struct", 400, ("first", long, 0), ("rss_stat", types.array(counter, 4), 128))
    return types.data()


def memory_of_510() -> bytes:
    """Before Linux 6.2 the counters are numbers in a struct."""
    types = Types()
    long = number(types)
    stat = types.struct("mm_rss_stat", 32, ("count", types.array(long, 4), 0))
    types.struct("mm_struct", 400, ("first", long, 0), ("rss_stat", stat, 256))
    return types.data()


@pytest.mark.parametrize(("data", "place", "stride"), [(memory_of_62(), 24, 40), (memory_of_510(), 32, 8)])
def test_the_counters_of_memory_are_found_in_both_forms(data: bytes, place: int, stride: int) -> None:
    assert {"MM_RSS": place, "MM_RSS_STRIDE": stride, "MM_COUNTERS": 4} == offsets.counters(Btf(data))


@pytest.mark.parametrize(("kind", "macros"), [(Kind.PTR, {"MARK_VICTIM_HAS_TASK": "1"}), (Kind.INT, {})])
def test_the_tracepoint_has_a_task_or_a_pid(kind: Kind, macros: dict[str, str]) -> None:
    """The argument of `mark_victim` is a task since Linux 6.9, and a pid before."""
    types = Types()
    long = number(types)
    argument = types.add(Kind.PTR, "", long) if kind is Kind.PTR else long
    parameters = struct.pack("<IIII", 0, types.add(Kind.PTR, "", 0), 0, argument)
    function = types.add(Kind.FUNC_PROTO, "", 0, parameters, members=2)
    types.add(Kind.TYPEDEF, "btf_trace_mark_victim", types.add(Kind.PTR, "", function))

    assert macros == offsets.mark_victim(Btf(types.data()))


def test_a_missing_struct_or_field_is_named() -> None:
    types = Types()
    types.struct("oom_control", 8, ("memcg", number(types), 0))
    btf = Btf(types.data())

    with pytest.raises(BtfError, match=r"^struct oom_control has no field chosen$"):
        btf.place("oom_control", "chosen")
    with pytest.raises(BtfError, match=r"^the BTF of this kernel has no struct mem_cgroup$"):
        btf.place("mem_cgroup", "css")


def test_data_that_is_no_btf_is_refused() -> None:
    types = Types()
    types.add(27, "future", 0)

    with pytest.raises(BtfError, match="shorter than its header"):
        Btf(b"\x9f\xeb")
    with pytest.raises(BtfError, match=r"begins with 0x4141 instead of 0xeb9f"):
        Btf(b"A" * 64)
    with pytest.raises(BtfError, match="unknown kind 27"):
        Btf(types.data())
