# SPDX-License-Identifier: Apache-2.0
"""When a generation counts as attached, and how bpftool's failures are reported."""

from pathlib import Path

import pytest

from oompolicy_agent.loader import bpftool
from oompolicy_agent.loader.command import Result
from oompolicy_agent.loader.errors import UnsupportedError
from oompolicy_agent.loader.generation import parse_fdinfo, shortcoming

LINK = "pos:\t0\nflags:\t02000002\nlink_type:\ttracing\nlink_id:\t3\nprog_tag:\tabc\nprog_id:\t42\n"
PROGRAM = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nprog_id:\t42\n"


@pytest.mark.parametrize(("text", "program"), [(LINK, 42), (PROGRAM, None)])
def test_a_link_has_a_program_and_a_program_is_no_link(text: str, program: int | None) -> None:
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
    assert expected == shortcoming({"a", "b"}, found)


def test_the_useful_lines_of_bpftools_output_are_quoted() -> None:
    stderr = (
        "libbpf: prog 'evaluate_task': BPF program load failed: Permission denied\n"
        "libbpf: prog 'evaluate_task': -- BEGIN PROG LOAD LOG --\n0: R1=ctx()\n"
        "libbpf: failed to load object 'oompolicy.bpf.o'\nError: failed to load object file\n"
    )

    expected = "prog 'evaluate_task': BPF program load failed: Permission denied; failed to load object file"
    assert expected == bpftool.failure(Result(255, "", stderr))


def test_a_jit_that_is_off_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = (
        "libbpf: prog 'victim_marked': BPF program load failed: unknown error (-524)\n"
        "libbpf: prog 'victim_marked': -- BEGIN PROG LOAD LOG --\nJIT is required for calling kernel function\n"
    )
    monkeypatch.setattr(bpftool, "run", lambda *_: Result(255, "", stderr))

    with pytest.raises(UnsupportedError, match=r"run sysctl net\.core\.bpf_jit_enable=1"):
        bpftool.load(Path("observe.bpf.o"), Path("links"), {})


def test_a_failure_without_output_has_its_exit_status() -> None:
    assert bpftool.failure(Result(139, "", "")) == "exit status 139"


@pytest.mark.parametrize(
    ("trampolines", "oom_control", "count"), [(True, 1, 0), (True, -1, 0), (False, 1, 1), (False, 0, 2)]
)
def test_bccs_probes_report_missing_features_only(*, trampolines: bool, oom_control: int, count: int) -> None:
    assert count == len(bpftool.missing_features(trampolines=trampolines, oom_control=oom_control))
