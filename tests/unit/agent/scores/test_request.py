# SPDX-License-Identifier: Apache-2.0
"""The agent asks for scores where the kernel calls no hook, and otherwise asks the adjuster to restore."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy.oomsettings import Mode
from oompolicy_agent.adjuster.wanted import Wanted, parse
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.mapping.desired import Value
from oompolicy_agent.scores.request import RequestFile, asks, request_of
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

ATTACHED = Attachment("EvaluateTask", "Module", "6.12.107", None, "", ())
GROUPS = {4711: True, 4712: False}
ENTRIES = {4711: Value(300, 1 << 20), 4712: Value(500, 0)}


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        (ATTACHED, False),
        (replace(ATTACHED, backend="ObserveOnly", hook="None", message="no hook"), True),
        (replace(ATTACHED, problem="links are missing"), True),
        (replace(ATTACHED, backend="", problem="the loader has not run"), True),
        (replace(ATTACHED, disabled="kernel.ftrace_enabled=0"), False),
        (replace(ATTACHED, backend="OfTomorrow"), False),
    ],
)
def test_a_node_without_the_hook_needs_scores(attachment: Attachment, expected: bool) -> None:
    """A backend that this agent does not know may be one that enforces."""
    assert expected is asks(attachment)


@pytest.mark.parametrize("mode", Mode)
def test_the_request_has_the_priorities_of_the_map(mode: Mode) -> None:
    made = request_of(asked=True, mode=mode, host_priority=900, entries=ENTRIES, kill_groups={}, kernel_log=False)

    assert Wanted(mode.value, 900, {4711: 300, 4712: 500}) == made


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(("mode", "expected"), [(Mode.ENFORCE, GROUPS), (Mode.AUDIT, {}), (Mode.OFF, {})])
def test_kill_groups_apply_on_every_backend_in_enforce_alone(
    mode: Mode, expected: dict[int, bool], asked: bool
) -> None:
    """On a node with the hook, the mode of the scores is Off all the same."""
    made = request_of(asked=asked, mode=mode, host_priority=900, entries=ENTRIES, kill_groups=GROUPS, kernel_log=False)

    assert made
    assert expected == made.kill_groups
    assert (mode if asked else "Off") == made.mode


def test_the_kill_groups_of_an_earlier_agent_are_read(tmp_path: Path) -> None:
    """A damaged file has none."""
    path = tmp_path / "wanted.json"
    assert {} == RequestFile(path, Problems()).earlier_kill_groups
    RequestFile(path, Problems()).write(Wanted("Off", 1000, {}, GROUPS))
    assert GROUPS == RequestFile(path, Problems()).earlier_kill_groups
    path.write_bytes(b"{")
    assert {} == RequestFile(path, Problems()).earlier_kill_groups


def test_a_node_with_the_hook_asks_to_restore() -> None:
    """This holds also before pods are known."""
    for entries in (ENTRIES, None):
        assert Wanted("Off", 1000, {}) == request_of(
            asked=False, mode=Mode.ENFORCE, host_priority=1000, entries=entries, kill_groups={}, kernel_log=False
        )


def test_an_earlier_request_stays_until_pods_are_known() -> None:
    made = request_of(asked=True, mode=Mode.ENFORCE, host_priority=1000, entries=None, kill_groups={}, kernel_log=False)

    assert made is None


def test_only_a_change_is_written(tmp_path: Path) -> None:
    """A file that somebody removed comes back with `again`."""
    path, request = tmp_path / "wanted.json", Wanted("Enforce", 1000, {4711: 300})
    file = RequestFile(path, Problems())
    file.write(request)
    assert request == parse(path.read_bytes())
    path.unlink()
    file.write(request)
    assert not path.exists()
    file.write(request, again=True)
    assert request == parse(path.read_bytes())


def test_a_failed_write_is_a_problem_and_is_tried_again(tmp_path: Path) -> None:
    problems, request = Problems(), Wanted("Enforce", 1000, {4711: 300})
    file = RequestFile(tmp_path / "run/wanted.json", problems)
    file.write(request)
    assert "so its last one stays in force" in problems.current[Reason.REQUEST_NOT_WRITTEN][0]
    (tmp_path / "run").mkdir()
    file.write(request)
    assert {} == problems.current
    assert (tmp_path / "run/wanted.json").exists()
