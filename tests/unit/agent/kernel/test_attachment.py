# SPDX-License-Identifier: Apache-2.0
"""How a node enforces is what the loader reported, its links prove, and sysctls do not go round."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.attachment import Attachment, bypasses, ftrace_disabled, read_attachment
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
    """A node as the loader leaves it."""
    for name in GOOD["links"]:
        (tmp_path / "bpffs/links/3f2a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "bpffs/links/3f2a" / name).touch()
    for folder in ("vm", "kernel"):
        (tmp_path / "sys" / folder).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    return tmp_path


def seen(node: Path, **changes: object) -> Attachment:
    (node / "run/loader.json").write_text(json.dumps({**GOOD, **changes}))
    return read_attachment(node / "run", node / "bpffs", BOOT, node / "sys")


def test_a_good_node_enforces(node: Path) -> None:
    """Nothing to say about it."""
    assert Attachment("EvaluateTask", "Module", "6.12.107", None, "", ()) == seen(node)
    assert seen(node).enforcing


def test_a_node_that_only_observes_is_no_problem(node: Path) -> None:
    """But it does not enforce, and says why."""
    found = seen(node, backend="ObserveOnly", hook="None", message="this kernel has no hook")

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
def test_what_is_wrong_is_one_sentence(node: Path, changes: dict[str, object], problem: str) -> None:
    """And the node does not enforce then."""
    found = seen(node, **changes)

    assert problem in (found.problem or "")
    assert not found.enforcing


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_report_that_cannot_be_read_is_a_problem(node: Path, content: bytes | None) -> None:
    """As is none at all; the kernel's version is known all the same."""
    if content is not None:
        (node / "run/loader.json").write_bytes(content)
    found = read_attachment(node / "run", node / "bpffs", BOOT, node / "sys")

    assert str(node / "run/loader.json") in (found.problem or "")
    assert found.kernel_version


def test_an_empty_folder_of_links_is_a_problem(node: Path) -> None:
    """Where the report does not name them."""
    for link in (node / "bpffs/links/3f2a").iterdir():
        link.unlink()

    assert "no link is left in" in (seen(node, links=[]).problem or "")


def test_links_may_be_closed_to_listing(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0711: names can be looked up, and a report that has none is believed."""

    def closed(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", closed)

    assert seen(node, links=[]).problem is None


def test_sysctls_that_go_round_the_hook_are_said(node: Path) -> None:
    """As they are now, not as the loader found them; what else it warned of stays."""
    (node / "sys/vm/panic_on_oom").write_text("0\n")
    (node / "sys/vm/oom_kill_allocating_task").write_text("1\n")
    found = seen(node, warnings=["vm.panic_on_oom=1: old", "the module is of another version"])

    assert (
        "the module is of another version",
        "vm.oom_kill_allocating_task=1: the kernel kills the process that asked for memory, regardless of its priority",
    ) == found.warnings
    assert () == bypasses(node / "nothing")


@pytest.mark.parametrize(("value", "disabled"), [("0\n", True), ("1\n", False), (None, False)])
def test_without_ftrace_the_node_does_not_enforce(node: Path, value: str | None, *, disabled: bool) -> None:
    """1 is the good value, unlike that of the other sysctls; a kernel without ftrace has no such sysctl."""
    if value is not None:
        (node / "sys/kernel/ftrace_enabled").write_text(value)
    found = seen(node)

    assert (disabled, not disabled) == (ftrace_disabled(node / "sys"), found.enforcing)
    assert disabled == (found.disabled or "").startswith("kernel.ftrace_enabled=0: ")
    assert (None, ()) == (found.problem, found.warnings)
