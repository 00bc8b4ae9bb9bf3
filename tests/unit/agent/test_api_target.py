# SPDX-License-Identifier: Apache-2.0
"""Every victim becomes an Event, or is counted in one: limits and outages lose none and count none twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.api import target as module
from tests.unit.agent.fakeapi import GONE, LATER
from tests.unit.agent.fakeevents import LIMITS, Api, event

if TYPE_CHECKING:
    from oompolicy_agent.api.outcome import Outcome


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
