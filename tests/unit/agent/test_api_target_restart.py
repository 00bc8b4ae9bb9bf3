# SPDX-License-Identifier: Apache-2.0
"""Restarts and full disks lose no victim, and count none twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.agent.fakeevents import LIMITS, Api, event

if TYPE_CHECKING:
    from pathlib import Path


def test_a_restart_before_the_update_was_answered_says_the_same_number(api: Api) -> None:
    """The API server may have it or not: the number is the same."""
    api.offer(event(1), event(2))
    api.answer()
    api.settled()
    api.offer(event(3), event(4))
    api.settled(now=10.0)
    api.events["web-0.1"] = 3  # it arrived, and its answer did not
    api.boot()
    assert [True, True] == api.offer(event(3), event(4))
    api.settled(now=11.0)
    assert [("PATCH", "web-0.1")] == api.sent
    api.answer()

    assert ("web-0.3", "web-0.4") == api.settled(now=11.0)
    assert {"web-0.1": 3, "web-0.2": 1} == api.events


def test_a_restart_goes_on_counting(api: Api) -> None:
    """From the number that the API server has."""
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
def test_unusable_series_are_left_out_with_a_word(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A kill may be counted twice then; none is lost."""
    (tmp_path / "series.json").write_bytes(content)
    Api(tmp_path)

    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_full_disk_delays_no_update(api: Api) -> None:
    """What it counts should be on disk first; to count one twice after a restart is better than to lose all."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settings.series.mkdir()
    api.settled(now=10.0)
    api.answer()

    assert (("web-0.3",), 2) == (api.settled(now=10.0), api.events["web-0.1"])
    assert "a restart may count repeated kills twice: [Errno 21] Is a directory" in api.target.problem
    api.settings.series.rmdir()
    for number in (4, 5):
        api.offer(event(number), now=11.0)
    api.settled(now=20.0)
    assert "" == api.target.problem


@given(steps=st.lists(st.tuples(st.sampled_from(["kill", "kill", "answer", "wait", "restart"]), st.integers(0, 3))))
def test_all_are_accounted_for_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Kills of three pods, answers that come or are lost, restarts, time: in the end each is counted exactly once."""
    api = Api(tmp_path_factory.mktemp("state"), replace(LIMITS, under_way=2))
    spool: dict[str, dict[str, Any]] = {}
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
            # Whatever is under way arrives, and the agent dies before it hears of it.
            api.answer(count=number)
            api.boot()
            pinned.clear()
        turn()

    assert (killed, {}) == (sum(api.events.values()), spool)
