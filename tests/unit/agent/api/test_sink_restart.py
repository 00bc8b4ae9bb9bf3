# SPDX-License-Identifier: Apache-2.0
"""Restarts and full disks lose no victim and count none twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oompolicy_agent.api.outcome import DONE
from oompolicy_agent.victims.sink import PARKED
from tests.unit.agent.fakeapi import REJECTED
from tests.unit.agent.fakeevents import LIMITS, Api, event

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.victims.report import Report


def test_a_restart_before_the_answer_sends_the_same_number(api: Api) -> None:
    """It does not matter whether the API server has the update."""
    api.offer(event(1), event(2))
    api.answer()
    api.settled()
    api.offer(event(3), event(4))
    api.settled(now=10.0)
    api.events["web-0.1"] = 3  # the update arrived, and its answer did not
    api.boot()
    assert [True, True] == api.offer(event(3), event(4))
    api.settled(now=11.0)
    assert [("PATCH", "web-0.1")] == api.sent
    api.answer()

    assert ("web-0.3", "web-0.4") == api.settled(now=11.0)
    assert {"web-0.1": 3, "web-0.2": 1} == api.events


def test_a_restart_continues_the_count(api: Api) -> None:
    """The count continues from the number that the API server has."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settled(now=10.0)
    api.answer()
    api.settled(now=10.0)
    api.boot()
    for number in (4, 5, 6):
        api.offer(event(number), now=11.0)
        api.answer()
        api.settled(now=11.0)
    api.settled(now=30.0)
    api.answer()

    assert 6 == sum(api.events.values())
    assert 3 == api.events["web-0.1"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2}',
        b'{"version": 1, "series": [{}]}',
        b"\xff",
        b"[" * 100_000,
        b'{"version": 1, "series": [{"key": ["u", "c", "p"], "namespace": "n", "name": "e", "last_observed": "",'
        b' "count": 1e30, "sending": []}]}',
        b'{"version": 1, "series": [{"key": ["u", "c", "p"], "namespace": "n", "name": "e", "last_observed": "",'
        b' "count": 99999999999, "sending": [[]]}]}',
    ],
    ids=range(9),
)
def test_unusable_series_are_left_out_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Then a kill may be counted twice, but none is lost."""
    (tmp_path / "series.json").write_bytes(content)
    Api(tmp_path)

    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_full_disk_delays_no_update(api: Api) -> None:
    """The series should be on disk before the update, but a victim counted twice is better than all updates lost."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settings.series.unlink()
    api.settings.series.mkdir()
    api.settled(now=10.0)
    api.answer()

    assert (("web-0.3",), 2) == (api.settled(now=10.0), api.events["web-0.1"])
    assert "so a restart may count them twice: [Errno 21] Is a directory" in (api.target.problem or "")
    api.settings.series.rmdir()
    for number in (4, 5):
        api.offer(event(number), now=11.0)
    api.settled(now=20.0)
    assert api.target.problem is None


@given(steps=st.lists(st.tuples(st.sampled_from(["kill", "kill", "answer", "wait", "restart"]), st.integers(0, 3))))
def test_every_victim_is_counted_once_in_any_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Kills of three pods, answers that come or are lost, restarts and time can follow each other in any order."""
    api = Api(tmp_path_factory.mktemp("state"), replace(LIMITS, under_way=2))
    spool: dict[str, Report] = {}
    pinned: set[str] = set()
    now, killed = 0.0, 0

    def turn() -> None:
        done, again = api.target.settled(now)
        for name in done:
            spool.pop(name, None)
        pinned.difference_update([*done, *(name for name, _ in again)])
        for name, each in spool.items():
            if name not in pinned:
                if not api.target.offer(name, each, now):
                    break
                pinned.add(name)

    for step, number in [*steps, *[("answer", 0), ("wait", 2)] * (4 * len(steps) + 4)]:
        if step == "kill":
            killed += 1
            spool[f"pod-{number}.{killed}"] = event(killed, f"pod-{number}")
        elif step == "answer":
            api.answer(count=number or 1_000)
        elif step == "wait":
            now += 10.0**number
        else:
            # The reports under way arrive, and the agent dies before it reads the answers.
            api.answer(count=number)
            api.boot()
            pinned.clear()
        turn()

    assert (killed, {}) == (sum(api.events.values()), spool)


class Spooler:
    """The reporter's part, with victims of three pods, each in a namespace of its own."""

    def __init__(self, api: Api) -> None:
        self.api, self.now, self.killed = api, 0.0, 0
        self.waiting: dict[str, Report] = {}
        self.not_before: dict[str, float] = {}
        self.forbidden: set[str] = set()

    def kill(self, number: int) -> None:
        """Add one victim, or a record of several."""
        made = event(self.killed, f"pod-{number % 3}", namespace=f"team-{number % 3}")
        count = 4 if number == 3 else 1
        self.killed += count
        if count > 1:
            made = replace(made, victims=count)
        self.waiting[made.name] = made
        self.not_before[made.name] = 0.0

    def answer(self) -> None:
        """Answer all requests. Namespaces that refuse get "rejected"."""
        for _ in range(len(self.api.poster.jobs)):
            forbidden = self.api.poster.jobs[0].namespace in self.forbidden
            self.api.answer(REJECTED if forbidden else DONE, count=1)

    def restart(self) -> None:
        """Restart the agent, which offers again all reports that were under way."""
        self.api.boot()
        self.not_before = dict.fromkeys(self.waiting, 0.0)

    def turn(self) -> None:
        for _ in range(2):
            done, again = self.api.target.settled(self.now)
            for name in done:
                self.waiting.pop(name, None)
            self.not_before |= {name: self.now + delay for name, delay in again}
            for name, each in self.waiting.items():
                if self.not_before[name] <= self.now:
                    if not self.api.target.offer(name, each, self.now):
                        break
                    self.not_before[name] = PARKED


STEPS = st.sampled_from(["kill", "kill", "answer", "answer", "wait", "restart", "forbid", "allow"])


# The Event of the last victim arrives, the agent does not receive the answer, and then the namespace refuses.
REFUSED_AFTER_RESTART = [
    *(("kill", 2), ("kill", 3), ("kill", 0), ("kill", 0), ("wait", 2), ("forbid", 2), ("answer", 0), ("restart", 0))
]


@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=60))
@example(steps=REFUSED_AFTER_RESTART)
def test_every_victim_is_counted_once_if_namespaces_refuse(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Namespaces refuse and accept again in any order, and do not delay the others."""
    node = Spooler(Api(tmp_path_factory.mktemp("state"), replace(LIMITS, under_way=2)))
    for step, number in steps:
        if step == "kill":
            node.kill(number)
        elif step == "answer":
            node.answer()
        elif step == "wait":
            node.now += 10.0**number
        elif step == "restart":
            node.answer()
            node.restart()
        elif step == "forbid":
            node.forbidden.add(f"team-{number % 3}")
        else:
            node.forbidden.discard(f"team-{number % 3}")
        node.turn()
    finish(node, {"team-0"})
    assert {"team-0"} >= {each.namespace for each in node.waiting.values()}
    finish(node, set())

    assert (node.killed, {}) == (sum(node.api.events.values()), node.waiting)
    assert node.api.target.problem is None


def finish(node: Spooler, forbidden: set[str]) -> None:
    """Turn until all reports that are not forbidden have arrived, at most 15 minutes.

    A namespace's pause is at most ten.
    """
    node.forbidden = forbidden
    for _ in range(900):
        if not node.waiting and not node.api.target.problem:
            return
        node.now += 1.0
        node.turn()
        node.answer()
    node.turn()
