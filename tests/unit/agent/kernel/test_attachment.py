# SPDX-License-Identifier: Apache-2.0
"""The loader's report, its links and the sysctls decide whether a node enforces priorities."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.attachment import (
    Attachment,
    bypasses,
    ftrace_disabled,
    read_attachment,
    unprivileged_bpf_disabled,
)
from tests.unit.agent.fakes import BOOT

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "backend": "EvaluateTask",
    "hook": "Module",
    "kernelVersion": "6.12.107",
    "object": "3f2a",
    "bootId": BOOT,
    "attached": True,
    "message": "",
    "warnings": [],
    "links": ["evaluate_task", "victim_marked"],
}


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return the folders of a node on which the loader has attached everything."""
    for name in GOOD["links"]:
        (tmp_path / "bpffs/links/3f2a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "bpffs/links/3f2a" / name).touch()
    for folder in ("vm", "kernel"):
        (tmp_path / "sys" / folder).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    return tmp_path


def attachment_of(node: Path, **changes: object) -> Attachment:
    (node / "run/loader.json").write_text(json.dumps({**GOOD, **changes}))
    return read_attachment(node / "run", node / "bpffs", BOOT, node / "sys")


def test_a_good_node_enforces(node: Path) -> None:
    """There is no problem, no message and no warning."""
    assert Attachment("EvaluateTask", "Module", "6.12.107", None, "", ()) == attachment_of(node)
    assert attachment_of(node).enforcing


def test_a_node_that_only_observes_has_no_problem(node: Path) -> None:
    """The node does not enforce, and the loader's message has the reason."""
    found = attachment_of(node, backend="ObserveOnly", hook="None", message="this kernel has no hook")

    assert (None, "this kernel has no hook", False) == (found.problem, found.message, found.enforcing)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"attached": False, "message": "no BTF"}, "the loader attached nothing: no BTF"),
        ({"attached": False}, "the loader attached nothing: it does not say why"),
        ({"bootId": "other"}, "the loader has not run since the node booted: "),
        ({"object": "other"}, "links are missing in "),
        ({"object": "other", "links": []}, "links are missing: no "),
        ({"links": ["evaluate_task", "gone", "too"]}, "3f2a: gone, too"),
    ],
)
def test_each_problem_is_one_sentence(node: Path, changes: dict[str, object], problem: str) -> None:
    """A node with a problem does not enforce."""
    found = attachment_of(node, **changes)

    assert problem in (found.problem or "")
    assert not found.enforcing


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_an_unreadable_report_is_a_problem(node: Path, content: bytes | None) -> None:
    """A missing report is one too. The kernel's version is known without it."""
    if content is not None:
        (node / "run/loader.json").write_bytes(content)
    found = read_attachment(node / "run", node / "bpffs", BOOT, node / "sys")

    assert str(node / "run/loader.json") in (found.problem or "")
    assert found.kernel_version


def test_an_empty_folder_of_links_is_a_problem(node: Path) -> None:
    """This holds for a report that does not name the links."""
    for link in (node / "bpffs/links/3f2a").iterdir():
        link.unlink()

    assert "no link is left in" in (attachment_of(node, links=[]).problem or "")


def test_links_in_a_folder_that_cannot_be_listed_are_believed(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has mode 0711, so only names in the report can be checked."""

    def closed(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", closed)

    assert attachment_of(node, links=[]).problem is None


def test_sysctls_that_bypass_the_hook_are_warnings(node: Path) -> None:
    """The agent reads their present values and replaces the loader's warnings about them. Other warnings stay."""
    (node / "sys/vm/panic_on_oom").write_text("0\n")
    (node / "sys/vm/oom_kill_allocating_task").write_text("1\n")
    found = attachment_of(node, warnings=["vm.panic_on_oom=1: old", "the module is of another version"])

    assert (
        "the module is of another version",
        "vm.oom_kill_allocating_task=1: the kernel kills the process that asked for memory, regardless of its priority",
    ) == found.warnings
    assert () == bypasses(node / "nothing")


@pytest.mark.parametrize(("value", "disabled"), [("0\n", True), ("1\n", False), (None, False)])
def test_without_ftrace_the_node_does_not_enforce(node: Path, value: str | None, *, disabled: bool) -> None:
    """Unlike the other sysctls, this one is good with the value 1. A kernel without ftrace does not have it."""
    if value is not None:
        (node / "sys/kernel/ftrace_enabled").write_text(value)
    found = attachment_of(node)

    assert (disabled, not disabled) == (ftrace_disabled(node / "sys"), found.enforcing)
    assert disabled == (found.disabled or "").startswith("kernel.ftrace_enabled=0: ")
    assert (None, ()) == (found.problem, found.warnings)


@pytest.mark.parametrize(("value", "found"), [("0\n", ""), ("1\n", "1"), ("2\n", "2")])
def test_the_sysctl_restricts_processes_without_capability(node: Path, value: str, found: str) -> None:
    """1 and 2 restrict them. A kernel without the sysctl does not."""
    assert "" == unprivileged_bpf_disabled(node / "sys")
    (node / "sys/kernel/unprivileged_bpf_disabled").write_text(value)

    assert found == unprivileged_bpf_disabled(node / "sys")
