# SPDX-License-Identifier: Apache-2.0
"""A slow target loses no victim, and delays only its own reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.victims.reporter import Reporter
from oompolicy_agent.victims.sink import Settled
from oompolicy_agent.victims.spool import Spool
from tests.unit.agent.fakereporting import Node
from tests.unit.agent.fakes import pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from oompolicy_agent.victims.report import Report


class SlowTarget:
    """A target that accepts reports and answers as the test decides."""

    fd, problem = -1, None

    def __init__(self) -> None:
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.room = 1_000
        self.stalled = False
        self.next = Settled()

    def offer(self, name: str, report: Report, now: float) -> bool:  # noqa: ARG002
        if self.room == 0:
            return False
        self.room -= 1
        self.taken[name] = report.manifest
        return True

    def settled(self, now: float) -> Settled:  # noqa: ARG002
        settled, self.next = self.next, Settled()
        return settled

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self.taken[name]

    def wait(self, now: float) -> float | None:  # noqa: ARG002
        return 7.0 if self.room == 0 else None


class SlowNode(Node):
    def boot(self) -> None:
        self.slow, self.counters = SlowTarget(), Counters()
        self.spool = Spool(self.root.parent / "spool", self.boot_id)
        self.reporter = Reporter(
            self.settings,
            self.boot_id,
            self.spool,
            self.index,
            self.slow,
            counters=self.counters,
            discloses=lambda: True,
            verdict=lambda _victim, /, *, live: None,  # noqa: ARG005
            locate=lambda victim: victim,
        )


@pytest.fixture
def slow(tmp_path: Path) -> SlowNode:
    return SlowNode(tmp_path)


def test_an_offered_report_stays_spooled_until_it_arrived(slow: SlowNode) -> None:
    """It is offered only once, and is among the last victims and counted at once."""
    slow.know(pod())
    slow.kill()
    (name,) = slow.spool.pending
    for _ in range(2):
        assert slow.run(pod()) is None

    assert ([name], (name,), 1) == (list(slow.slow.taken), slow.spool.pending, len(slow.reporter.last))
    assert {("Node", "Burstable"): 1} == slow.counters.victims
    assert {("team-a", "None"): 1} == +slow.counters.namespaces
    slow.slow.next = Settled((name,))
    slow.run(pod())
    assert () == slow.spool.pending


def test_a_report_is_offered_again_at_its_time(slow: SlowNode) -> None:
    """It does not delay other reports meanwhile."""
    slow.kill("system.slice", tgid=1)
    slow.run()
    (first,) = slow.spool.pending
    slow.slow.next = Settled((), ((first, 60.0),))
    slow.slow.taken.clear()
    slow.kill("system.slice", tgid=2)

    assert 60.0 == slow.run()
    assert first not in slow.slow.taken
    assert 1 == len(slow.slow.taken)
    slow.run(now=60.0)
    assert first in slow.slow.taken
    assert {("Node", "None"): 2} == slow.counters.victims
    assert {("None", "None"): 2} == +slow.counters.namespaces


def test_without_room_reports_wait_in_their_order(slow: SlowNode) -> None:
    """The first report without room ends the round."""
    for tgid in (1, 2, 3):
        slow.kill("system.slice", tgid=tgid)
    slow.slow.room = 1

    assert 7.0 == slow.run()
    assert list(slow.spool.pending[:1]) == list(slow.slow.taken)
    slow.slow.room = 9
    assert slow.run(now=7.0) is None
    assert list(slow.spool.pending) == list(slow.slow.taken)


def test_a_report_that_has_to_wait_is_named_at_once(slow: SlowNode) -> None:
    """In an hour the pod may be forgotten. This includes a report under way, which may come back."""
    slow.know(pod())
    slow.kill(tgid=1)
    slow.run(pod())
    slow.slow.room, slow.slow.stalled = 0, True
    slow.kill(tgid=2)
    slow.run(pod())
    names = slow.spool.pending
    slow.index = CgroupOwners()
    slow.boot()
    slow.run()

    assert set(names) == set(slow.slow.taken)
    assert ["web-0", "web-0"] == [each["regarding"]["name"] for each in slow.slow.taken.values()]
    assert ({}, 2) == (dict(slow.counters.victims), len(slow.reporter.last))


def test_a_waiting_report_is_named_only_once(slow: SlowNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that stalls for long does not cause more writes of the spooled report."""
    kept: list[str] = []
    monkeypatch.setattr(slow.spool, "keep", lambda name, *_: kept.append(name))
    slow.slow.room, slow.slow.stalled = 0, True
    for tgid in (1, 2):
        slow.kill("system.slice", tgid=tgid)
    for _ in range(3):
        slow.run()

    assert list(slow.spool.pending) == kept


def test_a_report_that_the_spool_drops_is_forgotten(slow: SlowNode) -> None:
    """The reporter's memory is bounded as the spool is."""
    slow.kill("system.slice", tgid=1)
    slow.run()
    slow.spool._drop(slow.spool.pending[0])
    slow.run()

    assert (set(), set(), {}) == (slow.reporter._logged, slow.reporter._under_way, slow.reporter._arrived)
    assert {} == slow.slow.taken
