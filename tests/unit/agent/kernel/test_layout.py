# SPDX-License-Identifier: Apache-2.0
"""The layouts of the records in Python are those of the C header."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from oompolicy_agent.kernel import layout
from oompolicy_agent.kernel.layout import StructLayout, check_against_btf, describe

HEADER: Final = Path(__file__).parents[4] / "bpf" / "oompolicy.h"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the compiler's view of the header: a line for every struct, field and constant that Python knows."""
    compiler = shutil.which("cc")
    if not compiler:
        assert not os.environ.get("CI"), "CI has a C compiler"
        pytest.skip("no C compiler: the layouts are NOT compared with the header")
    folder = tmp_path_factory.mktemp("layout")
    (folder / "main.c").write_text(c_program())
    subprocess.run([compiler, "-o", folder / "main", folder / "main.c", f"-I{HEADER.parent}"], check=True)
    return subprocess.run([folder / "main"], check=True, capture_output=True, text=True).stdout.splitlines()


def c_program() -> str:
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <linux/types.h>", '#include "oompolicy.h"']
    lines.append("int main(void) {")
    for name, struct in describe().items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field in struct.fields:
            place = f"offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", {place});')
    lines += [f'printf("{name} %lld\\n", (long long){name});' for name in constants()]
    return "\n".join([*lines, "}"])


def constants() -> dict[str, int]:
    names = ("MAX_ENTRIES", "EVENTS_BYTES", "CGROUPS_BYTES", "PRIORITY_MAX", "HOST_PRIORITY", "LEVELS", "NAME", "COMM")
    plain = {f"OOMPOLICY_{name}": getattr(layout, name) for name in (*names, "NO_LEVEL")}
    stats = {f"OOMPOLICY_STAT_{stat.name}": stat.value for stat in layout.Stat}
    flags = {f"OOMPOLICY_VICTIM_{flag.name}": flag.value for flag in layout.VictimFlag}
    changes = {f"OOMPOLICY_CGROUP_{change.name}": change.value for change in layout.CgroupChange}
    flags |= {f"OOMPOLICY_ENTRY_{flag.name}": flag.value for flag in layout.EntryFlag}
    return {**plain, **stats, **flags, **changes, "OOMPOLICY_STAT_COUNT": len(layout.Stat)}


def test_every_struct_equals_that_of_the_header(printed: list[str]) -> None:
    """The comparison covers sizes, and the offset and width of every field."""
    expected = []
    for name, struct in describe().items():
        expected.append(f"{name} {struct.size}")
        expected += [f"{name}.{field} {offset} {size}" for field, (offset, size) in struct.fields.items()]

    assert expected == [line for line in printed if not line.startswith("OOMPOLICY_")]


def test_every_constant_equals_that_of_the_header(printed: list[str]) -> None:
    """The comparison covers counters, flags and bounds."""
    expected = [f"{name} {value}" for name, value in constants().items()]

    assert expected == [line for line in printed if line.startswith("OOMPOLICY_")]


def test_no_field_or_flag_of_the_header_is_left_out() -> None:
    """The test reads the names from the header's text, so a new field or flag has to be added in Python too."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    structs = dict(re.findall(r"struct (oompolicy_\w+) \{(.*?)\}", text, flags=re.DOTALL))
    fields = {name: set(re.findall(r"(\w+)(?:\[\w+\])*;", body)) for name, body in structs.items()}
    named = set(re.findall(r"(OOMPOLICY_(?:STAT|VICTIM|CGROUP|ENTRY)_\w+)", text))

    assert {name: set(struct.fields) for name, struct in describe().items()} == fields
    assert named <= set(constants())


def test_the_own_layout_has_no_mismatch() -> None:
    """The check returns nothing for an object that has exactly the layout of Python."""
    assert check_against_btf(describe()) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (None, "the BPF object's BTF has no struct oompolicy_entry"),
        (StructLayout(24, {}), "struct oompolicy_entry is 24 bytes in the BPF object and 16 in Python"),
        (
            StructLayout(16, {"memory_request": (0, 8), "priority": (12, 4), "flags": (8, 4)}),
            "struct oompolicy_entry, field priority: 4 bytes at offset 12 in the BPF object, "
            "4 bytes at offset 8 in Python",
        ),
        (
            StructLayout(16, {"memory_request": (0, 8), "priority": (8, 4), "flags": (12, 4), "new": (14, 2)}),
            "struct oompolicy_entry, field new: 2 bytes at offset 14 in the BPF object, absent in Python",
        ),
    ],
)
def test_a_mismatch_is_one_sentence(changed: StructLayout | None, sentence: str) -> None:
    """The sentence names struct and field, and has the values of both sides."""
    found = {name: struct for name, struct in describe().items() if name != "oompolicy_entry"}
    if changed:
        found["oompolicy_entry"] = changed

    assert sentence == check_against_btf(found)


def test_pages_have_the_number_of_victims_that_the_ring_buffer_holds() -> None:
    """A record has a header of 8 bytes (BPF_RINGBUF_HDR_SZ in include/uapi/linux/bpf.h)."""
    docs = HEADER.parents[1] / "docs"
    victims = layout.EVENTS_BYTES // (ctypes.sizeof(layout.VictimRecord) + 8)
    shown = f"about {victims // 10 * 10:,}"

    assert f"({shown} of them)" in (docs / "node.md").read_text()
    assert f"{shown} victims" in (docs / "pictures/one-oom.svg").read_text()
