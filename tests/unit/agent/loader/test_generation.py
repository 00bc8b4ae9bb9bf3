# SPDX-License-Identifier: Apache-2.0
"""When a generation counts as attached, and what is said of bpftool's failures."""

from pathlib import Path

import pytest

from oompolicy_agent.loader import bpftool, probe
from oompolicy_agent.loader.bpftool import explain
from oompolicy_agent.loader.command import Result
from oompolicy_agent.loader.errors import UnsupportedError
from oompolicy_agent.loader.generation import flaw, parse_fdinfo

LINK = "pos:\t0\nflags:\t02000002\nlink_type:\ttracing\nlink_id:\t3\nprog_tag:\tabc\nprog_id:\t42\n"
PROGRAM = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nprog_id:\t42\n"


@pytest.mark.parametrize(("text", "program"), [(LINK, 42), (PROGRAM, None)])
def test_a_link_tells_its_program_and_a_program_is_no_link(text: str, program: int | None) -> None:
    assert program == parse_fdinfo(text)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": 1, "b": 2}, None),
        ({"a": 1}, "these programs are not pinned: b"),
        ({"a": 1, "b": None}, "these programs are not attached: b"),
        ({}, "these programs are not pinned: a, b"),
    ],
)
def test_a_generation_is_complete_with_all_programs_attached(
    found: dict[str, int | None], expected: str | None
) -> None:
    assert expected == flaw({"a", "b"}, found)


def test_of_bpftools_many_lines_the_telling_ones_are_said() -> None:
    stderr = (
        "libbpf: prog 'evaluate_task': BPF program load failed: Permission denied\n"
        "libbpf: prog 'evaluate_task': -- BEGIN PROG LOAD LOG --\n0: R1=ctx()\n"
        "libbpf: failed to load object 'oompolicy.bpf.o'\nError: failed to load object file\n"
    )

    expected = "prog 'evaluate_task': BPF program load failed: Permission denied; failed to load object file"
    assert expected == explain(Result(255, "", stderr))


def test_a_jit_that_is_off_is_a_sentence_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "libbpf: prog 'victim_marked': BPF program load failed: unknown error (-524)\n"
        "libbpf: prog 'victim_marked': -- BEGIN PROG LOAD LOG --\nJIT is required for calling kernel function\n"
    )
    monkeypatch.setattr(bpftool, "run", lambda *_: Result(255, "", said))

    with pytest.raises(UnsupportedError, match=r"run sysctl net\.core\.bpf_jit_enable=1"):
        bpftool.load(Path("observe.bpf.o"), Path("links"), {})


def test_a_silent_failure_has_its_exit_status() -> None:
    assert explain(Result(139, "", "")) == "exit status 139"


@pytest.mark.parametrize(
    ("trampolines", "oom_control", "count"), [(True, 1, 0), (True, -1, 0), (False, 1, 1), (False, 0, 2)]
)
def test_bccs_probes_are_said_where_they_found_something(*, trampolines: bool, oom_control: int, count: int) -> None:
    assert count == len(probe.explain(trampolines=trampolines, oom_control=oom_control))
