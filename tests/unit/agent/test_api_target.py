# SPDX-License-Identifier: Apache-2.0
"""Every victim becomes an Event, or is counted in one: limits, outages and restarts lose none and count none twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy_agent.api import target as module
from oompolicy_agent.api.outcome import DONE
from oompolicy_agent.api.target import ApiTarget
from oompolicy_agent.settings import EventLimits, Settings
from oompolicy_agent.tally import Tally
from tests.unit.agent.fakeapi import GONE, LATER, FakePoster, FakeWake, longest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.api.outcome import Outcome

LIMITS = EventLimits(node_burst=4, node_rate=1.0, pod_burst=2, pod_rate=0.01, series_every=10.0, under_way=3)


def event(number: int, pod: str = "web-0", container: str = "app", policy: str = "web") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{pod}.{number}", "namespace": "team-a"},
        "eventTime": f"2026-11-25T12:00:{number % 60:02}.000001Z",
        "reason": "OOMVictimKilled",
        "regarding": {"kind": "Pod", "name": pod, "uid": pod, "fieldPath": f"spec.containers{{{container}}}"},
        "related": {"name": policy},
    }


class Api:
    """The Events that the API server has, by name: how many victims each stands for."""

    def __init__(self, folder: Path, limits: EventLimits = LIMITS) -> None:
        self.settings = Settings(in_cluster=True, node="node-1", state_dir=folder, event_limits=limits)
        self.events: dict[str, int] = {}
        self.boot()

    def boot(self) -> None:
        self.poster, self.tally = FakePoster(), Tally()
        self.target = ApiTarget(self.settings, self.poster, self.tally, FakeWake(), longest)  # type: ignore[arg-type]

    def offer(self, *events: Mapping[str, Any], now: float = 0.0) -> list[bool]:
        return [self.target.offer(each["metadata"]["name"], each, now) for each in events]

    def answer(self, outcome: Outcome = DONE, count: int = 1_000) -> None:
        """Take what was sent; a real API server's answer to what it does not have is 404."""
        for job in self.poster.jobs[:count]:
            name = job.body["metadata"]["name"] if job.method == "POST" else job.path.rpartition("/")[2]
            if outcome is DONE and job.method == "POST":
                self.events.setdefault(name, 1)
            elif outcome is DONE:
                assert name in self.events
                self.events[name] = job.body["series"]["count"]
        self.poster.answer(outcome, count)

    def settled(self, now: float = 0.0) -> tuple[str, ...]:
        return self.target.settled(now).done

    @property
    def sent(self) -> list[tuple[str, str]]:
        return [(job.method, job.path.rpartition("/")[2]) for job in self.poster.jobs]


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def test_an_event_is_posted_and_done_when_it_arrived(api: Api) -> None:
    """Not before."""
    assert [True] == api.offer(event(1))
    assert () == api.settled()
    api.answer()

    assert ("web-0.1",) == api.settled()
    assert ({"web-0.1": 1}, {("OOMVictimKilled", "posted"): 1}) == (api.events, api.tally.events)


def test_a_pods_repeats_are_counted_in_its_first_event(api: Api) -> None:
    """Beyond its burst; the update says the number that there are, and when the last one was."""
    api.offer(event(1), event(2))
    api.answer()
    api.settled()
    assert [True, True] == api.offer(event(3), event(4))
    assert (10.0, []) == (api.target.wait(0.0), api.sent)
    api.settled(now=10.0)
    (job,) = api.poster.jobs

    assert ("PATCH", "/apis/events.k8s.io/v1/namespaces/team-a/events/web-0.1") == (job.method, job.path)
    assert {"series": {"count": 3, "lastObservedTime": "2026-11-25T12:00:04.000001Z"}} == job.body
    api.answer()
    assert ("web-0.3", "web-0.4") == api.settled(now=10.0)
    assert 2 == api.tally.events["OOMVictimKilled", "counted"]


def test_a_series_is_updated_now_and_then(api: Api) -> None:
    """What comes meanwhile is in the next update, and none is counted twice."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settled(now=10.0)
    api.offer(event(4), now=11.0)
    api.settled(now=11.0)
    assert [("PATCH", "web-0.1")] == api.sent
    api.answer()
    api.settled(now=12.0)
    assert [] == api.sent
    api.settled(now=22.0)
    api.answer()

    assert {"web-0.1": 3, "web-0.2": 1} == api.events


@pytest.mark.parametrize("other", [{"pod": "web-1"}, {"container": "side"}, {"policy": "other"}])
def test_what_is_not_alike_is_counted_apart(api: Api, other: dict[str, str]) -> None:
    """Another pod, container or policy has an Event of its own, also where its pod has no token left."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3), event(4, **other))

    assert [("POST", "events")] == api.sent


def test_the_nodes_limit_delays_what_is_new(api: Api) -> None:
    """It stays spooled until there is a token."""
    assert [True] * 3 == api.offer(*(event(number, f"pod-{number}") for number in range(3)))
    api.answer()
    assert [True, False] == api.offer(event(3, "pod-3"), event(4, "pod-4"))
    api.answer()
    api.settled()

    assert (1.0, True) == (api.target.wait(0.0), api.target.stalled)
    assert [True] == api.offer(event(4, "pod-4"), now=1.0)
    assert not api.target.stalled


def test_the_nodes_limit_counts_what_is_not(api: Api) -> None:
    """Nothing is news in it."""
    api.offer(*(event(number, f"pod-{number}") for number in range(3)))
    api.answer()
    api.offer(event(3, "pod-3"))
    api.answer()

    assert [True] == api.offer(event(5, "pod-0"))
    assert [] == api.sent


def test_only_some_are_under_way_at_once(api: Api) -> None:
    """The rest stays on disk, where a crash does not matter."""
    assert [True, True, True, False] == api.offer(*(event(number, f"pod-{number}") for number in range(4)))
    assert (None, False) == (api.target.wait(0.0), api.target.stalled)
    api.answer(count=1)

    assert [True] == api.offer(event(3, "pod-3"))


def test_nothing_is_decided_while_the_api_server_is_away(api: Api) -> None:
    """Limits are for what it gets, not for what happens meanwhile."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.poster.failing = "no answer"

    assert [False] == api.offer(event(4))
    assert (True, None) == (api.target.stalled, api.target.wait(100.0))
    assert "Events wait for the API server: no answer" == api.target.problem
    api.settled(now=100.0)
    assert [] == api.sent


def test_what_can_never_arrive_is_given_up(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Counted and said: its namespace is gone."""
    api.offer(event(1))
    api.answer(GONE)

    assert ("web-0.1",) == api.settled()
    assert {("OOMVictimKilled", "given_up"): 1} == api.tally.events
    assert "the Event of victim web-0.1 is given up: 404" in caplog.text


def test_what_is_refused_is_offered_again_later(api: Api) -> None:
    """Somebody has to allow it first; until then it is a problem with a sentence."""
    api.offer(event(1))
    api.answer(LATER)

    assert (("web-0.1", 0.5),) == api.target.settled(0.0).again
    assert "the API server refuses 1 Events, which stay spooled: 403 Forbidden: not you" == api.target.problem
    api.offer(event(1), now=1.0)
    api.answer(LATER)
    assert (("web-0.1", 1.0),) == api.target.settled(1.0).again
    api.offer(event(1), now=2.0)
    api.answer()
    assert (("web-0.1",), "") == (api.settled(), api.target.problem)


def test_refused_ones_hold_up_others_only_when_they_are_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody forbids Events in one namespace; or in all, and then there is no sense in trying more."""
    monkeypatch.setattr(module, "MAX_REFUSED", 2)
    api.offer(event(1, "pod-1"), event(2, "pod-2"))
    api.answer(LATER, count=1)
    assert [True] == api.offer(event(3, "pod-3"))
    api.answer(LATER)
    assert [False, True] == api.offer(event(4, "pod-4"), event(1, "pod-1"), now=9.0)
    api.target.forget(["pod-2.2", "pod-3.3"])

    assert [True] == api.offer(event(4, "pod-4"), now=9.0)


@pytest.mark.parametrize("outcome", [GONE, LATER])
def test_repeats_of_an_event_that_never_came_are_offered_again(api: Api, outcome: Outcome) -> None:
    """There is nothing to count them in."""
    api.offer(event(1), event(2), event(3))
    api.answer(outcome, count=1)

    assert "web-0.3" in [name for name, _ in api.target.settled(0.0).again]


def test_repeats_of_an_event_that_expired_are_offered_again(api: Api) -> None:
    """The next one is news."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3), event(4))
    api.settled(now=10.0)
    api.answer(GONE)

    assert (("web-0.3", 0.0), ("web-0.4", 0.0)) == api.target.settled(10.0).again
    api.offer(event(3), event(4), now=10.0)
    assert [("POST", "events")] == api.sent
    api.answer()
    api.settled(now=20.0)
    api.answer()
    assert {"web-0.1": 1, "web-0.2": 1, "web-0.3": 2} == api.events


def test_a_refused_update_is_tried_again(api: Api) -> None:
    """With all that came meanwhile."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settled(now=10.0)
    api.answer(LATER)
    api.offer(event(4), now=11.0)
    api.settled(now=12.0)
    assert [] == api.sent
    api.settled(now=20.0)
    api.answer()

    assert ("web-0.3", "web-0.4") == api.settled(now=20.0)
    assert 3 == api.events["web-0.1"]


def test_a_long_time_after_it_is_news_again(api: Api) -> None:
    """An Event of its own, although the pod has no token for a repeat."""
    api.offer(event(1), event(2))
    api.answer()
    api.settled()
    api.offer(event(3), now=LIMITS.series_idle + 1)

    assert [("POST", "events")] == api.sent


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


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "series": [{}]}', b"\xff"])
def test_unusable_series_are_left_out_with_a_word(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A kill may be counted twice then; none is lost."""
    (tmp_path / "series.json").write_bytes(content)
    Api(tmp_path)

    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_full_disk_delays_an_update(api: Api) -> None:
    """What it counts must be on disk first."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settings.series.mkdir()
    api.settled(now=10.0)

    assert [] == api.sent
    assert "repeated kills cannot be counted and stay spooled" in api.target.problem
    api.settings.series.rmdir()
    api.settled(now=20.0)
    api.answer()
    assert (2, "") == (api.events["web-0.1"], api.target.problem)


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
