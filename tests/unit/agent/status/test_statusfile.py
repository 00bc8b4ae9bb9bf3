# SPDX-License-Identifier: Apache-2.0
"""status.json and the published status are made from the same view."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.plumbing.loop import Loop
from oompolicy_agent.settings import Settings
from oompolicy_agent.status import statusfile
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.statusfile import StatusFile
from tests.unit.agent.status.test_document import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Node:
    """A node with a status file, whose view a test changes. `published` has each published status."""

    def __init__(self, folder: Path) -> None:
        self.path, self.view, self.now = folder / "status.json", GOOD, 100.0
        self.published: list[Mapping[str, Any]] = []
        self.problems, self.loop = Problems(), Loop(lambda: self.now)
        settings = Settings(node="node-1", run_dir=folder, status_delay=0.5)
        self.file = StatusFile(settings, self.loop, self.problems, lambda: self.view, self.published.append)

    @property
    def written(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def advance(self, seconds: float) -> None:
        """Run the timers that are due after this time."""
        self.now += seconds
        self.loop.after(0, "test", lambda: None)
        self.loop.step()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.loop.close()


def test_the_first_view_is_not_written(node: Node) -> None:
    """The metrics have a view from the start, and status.json only has facts that the agent has checked."""
    assert (GOOD, [], False) == (node.file.view, node.published, node.path.exists())


def test_a_write_takes_the_view_of_now(node: Node) -> None:
    """The file, the published status and `view` have the same facts."""
    node.view = replace(GOOD, entries=7)
    node.file.write()

    assert 7 == node.file.view.entries
    assert [node.written] == node.published
    assert 7 == node.written["counts"]["mapEntries"]


def test_later_changes_share_one_write(node: Node) -> None:
    """A write that is due is not delayed by further changes."""
    node.file.write_later()
    node.advance(0.4)
    node.file.write_later()
    assert [] == node.published
    node.advance(0.2)
    node.advance(1.0)

    assert 1 == len(node.published)


def test_a_condition_keeps_its_time_of_transition(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status that was written before gives the time, even if the message of the condition changes."""
    times = [datetime(2026, 11, 28, 8, 0, 0, tzinfo=UTC), datetime(2026, 11, 28, 9, 0, 0, tzinfo=UTC)]
    monkeypatch.setattr(statusfile, "datetime", SimpleNamespace(now=lambda _: times.pop(0)))
    node.file.write()
    before = node.written["conditions"][2]
    node.view = replace(GOOD, entries=7)
    node.file.write()
    after = node.written["conditions"][2]

    assert before["message"] != after["message"]
    assert "2026-11-28T08:00:00Z" == before["lastTransitionTime"] == after["lastTransitionTime"]


def test_a_file_that_cannot_be_written_is_a_problem(node: Node) -> None:
    """The status is published nevertheless, and the problem ends with the next write that succeeds."""
    node.path.mkdir()
    node.file.write()
    assert 1 == len(node.published)
    assert "the status cannot be written: " in node.problems.current[Reason.STATUS_NOT_WRITTEN][0]
    node.path.rmdir()
    node.file.write()

    assert {} == node.problems.current
    assert 2 == len(node.published)
