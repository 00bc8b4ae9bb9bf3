# SPDX-License-Identifier: Apache-2.0
"""Every victim becomes an Event or is counted in one, also under limits and outages, and none is counted twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.api.limits import Bucket
from oompolicy_agent.api.rejecting import MAX_REJECTED, RejectingNamespaces
from oompolicy_agent.victims.sink import PARKED
from tests.unit.agent.fakeapi import OBSOLETE, REJECTED, longest
from tests.unit.agent.fakeevents import LIMITS, Api, event

if TYPE_CHECKING:
    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.victims.report import Report


def test_a_report_is_done_only_when_its_event_arrived(api: Api) -> None:
    """Before the API server has answered, the report is not settled."""
    assert [True] == api.offer(event(1))
    assert () == api.settled()
    api.answer()

    assert ("web-0.1",) == api.settled()
    assert ({"web-0.1": 1}, {("OOMVictimKilled", "posted"): 1}) == (api.events, api.counters.events)


def test_a_pods_repeats_are_counted_in_its_first_event(api: Api) -> None:
    """Victims beyond the pod's burst update the series of its first Event: their number, and the last one's time."""
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
    assert 2 == api.counters.events["OOMVictimKilled", "counted"]


def test_a_series_is_updated_at_intervals(api: Api) -> None:
    """Victims between two updates are in the next one, and none is counted twice."""
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
def test_victims_that_differ_are_counted_apart(api: Api, other: dict[str, str]) -> None:
    """Another pod, container or policy gets an Event of its own, even if the pod has no token left."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3), event(4, **other))

    assert [("POST", "events")] == api.sent


def test_the_nodes_limit_delays_new_events(api: Api) -> None:
    """The report stays spooled until there is a token."""
    assert [True] * 3 == api.offer(*(event(number, f"pod-{number}") for number in range(3)))
    api.answer()
    assert [True, False] == api.offer(event(3, "pod-3"), event(4, "pod-4"))
    api.answer()
    api.settled()

    assert (1.0, True) == (api.target.wait(0.0), api.target.stalled)
    assert [True] == api.offer(event(4, "pod-4"), now=1.0)
    assert not api.target.stalled


def test_the_nodes_limit_does_not_delay_repeats(api: Api) -> None:
    """A repeat is counted in an earlier Event, so it needs no token."""
    api.offer(*(event(number, f"pod-{number}") for number in range(3)))
    api.answer()
    api.offer(event(3, "pod-3"))
    api.answer()

    assert [True] == api.offer(event(5, "pod-0"))
    assert [] == api.sent


def test_the_number_under_way_is_bounded(api: Api) -> None:
    """Other reports stay on disk, where a crash does not lose them."""
    assert [True, True, True, False] == api.offer(*(event(number, f"pod-{number}") for number in range(4)))
    assert (None, False) == (api.target.wait(0.0), api.target.stalled)
    api.answer(count=1)

    assert [True] == api.offer(event(3, "pod-3"))


def test_nothing_is_offered_while_the_api_server_does_not_answer(api: Api) -> None:
    """Limits apply to requests that the API server receives, so they do not count in an outage."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.poster.failing = "no answer"

    assert [False] == api.offer(event(4))
    assert (True, None) == (api.target.stalled, api.target.wait(100.0))
    assert "Events wait for the API server: no answer" == api.target.problem
    api.settled(now=100.0)
    assert [] == api.sent


def test_an_event_that_can_never_arrive_is_given_up(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and logged. In this case its namespace is gone."""
    api.offer(event(1))
    api.answer(OBSOLETE)

    assert ("web-0.1",) == api.settled()
    assert {("OOMVictimKilled", "given_up"): 1} == api.counters.events
    assert "the Event of victim web-0.1 is given up: 404" in caplog.text


def test_a_rejected_event_is_offered_again_later(api: Api) -> None:
    """An admin has to allow it first, and until then the sink reports a problem."""
    api.offer(event(1))
    api.answer(REJECTED)

    assert ((), 0.5) == (api.target.settled(0.0).again, api.target.wait(0.0))
    assert (
        "the API server refuses 1 Events, which stay spooled: 403 Forbidden: not you; namespaces that refuse: team-a"
        == api.target.problem
    )
    assert (("web-0.1", 0.0),) == api.target.settled(0.5).again
    api.offer(event(1), now=0.5)
    api.answer(REJECTED)
    assert ((), 1.0) == (api.target.settled(0.5).again, api.target.wait(0.5))
    assert (("web-0.1", 0.0),) == api.target.settled(1.5).again
    api.offer(event(1), now=1.5)
    api.answer()
    assert ("web-0.1",) == api.settled()
    assert api.target.problem is None


def test_a_namespace_that_rejects_delays_no_other(api: Api) -> None:
    """Its reports wait without a token of the node, and do not count as under way."""
    api.offer(*(event(number, f"evil-{number}", namespace="evil") for number in range(2)))
    api.answer(REJECTED)
    api.settled()
    assert [True] * 9 == api.offer(*(event(number, f"evil-{number}", namespace="evil") for number in range(2, 11)))

    again = api.target.settled(0.0).again
    assert (9, 1) == ([delay for _, delay in again].count(PARKED), [delay for _, delay in again].count(0.0))
    assert [] == api.sent
    assert [True, True] == api.offer(event(20, "web-0"), event(21, "web-1"))
    assert 2 == len(api.poster.jobs)


def test_rejected_events_are_tried_one_at_a_time(api: Api) -> None:
    """Reports that were not tried yet come first, until too many are rejected, and the namespaces take turns."""
    api.offer(*(event(number, f"{ns}-{number}", namespace=ns) for ns, number in (("a", 1), ("b", 2))))
    api.answer(REJECTED)
    api.offer(event(3, "a-3", namespace="a"), event(4, "b-4", namespace="b"))

    tried = []
    for _ in range(4):
        (name,) = [name for name, delay in api.target.settled(0.0).again if delay == 0.0] or [""]
        tried.append(name)
        if name:
            api.offer(event(int(name[-1]), name[:-2], namespace=name[0]))
            assert () == tuple(name for name, delay in api.target.settled(0.0).again if delay == 0.0)
            api.answer(REJECTED)
    assert ["a-3.3", "b-4.4", "", ""] == tried


def test_after_many_rejections_only_one_event_is_tried_at_intervals() -> None:
    """Then the reports that were not tried yet wait too."""
    refused = RejectingNamespaces(Bucket(1000, 1, 1000, 0.0), 600.0, longest)
    for number in range(MAX_REJECTED + 3):
        refused.park("evil", str(number), ("pod", "", ""))
    for number in range(MAX_REJECTED):
        assert (0.0, str(number)) == (refused.wait(0.0), refused.next(0.0))
        refused.reject("evil", str(number), ("pod", "", ""), "no", 0.0)

    assert (0.5, "") == (refused.wait(0.0), refused.next(0.0))
    assert "0" == refused.next(0.5)


def test_events_rejected_together_count_as_one_rejection(api: Api) -> None:
    """Several Events that were under way together do not lengthen their namespace's pause."""
    api.offer(*(event(number, f"evil-{number}", namespace="evil") for number in range(3)))
    api.answer(REJECTED)
    api.settled()

    assert 0.5 == api.target.wait(0.0)


def test_a_namespace_that_accepts_again_is_like_any_other(api: Api) -> None:
    """All its waiting reports are offered at once, and repeats are counted."""
    api.offer(event(1, "evil-1", namespace="evil"))
    api.answer(REJECTED)
    api.offer(*(event(number, f"evil-{number}", namespace="evil") for number in range(2, 5)))
    assert ("evil-1.1", 0.0) == api.target.settled(600.0).again[-1]
    api.offer(event(1, "evil-1", namespace="evil"), now=600.0)
    api.answer()

    settled = api.target.settled(600.0)
    assert {("evil-2.2", 0.0), ("evil-3.3", 0.0), ("evil-4.4", 0.0)} == set(settled.again)
    assert ("evil-1.1",) == settled.done
    assert api.target.problem is None


def test_a_report_that_the_spool_drops_is_forgotten(api: Api) -> None:
    """The sink does not offer it again and reports no problem for it."""
    api.offer(event(1))
    api.answer(REJECTED)
    api.target.forget(["web-0.1"])

    assert api.target.problem is None
    assert api.target.wait(0.0) is None


def test_a_rejected_update_makes_its_namespace_wait(api: Api) -> None:
    """Otherwise an update of every series every few seconds would cost as much as an Event for each victim."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    for now in range(10, 70, 10):
        api.settled(now=now)
        api.answer(REJECTED)
    api.settled(now=70.0)

    assert ([], 6.0) == (api.sent, api.target.wait(70.0))
    api.settled(now=76.0)
    api.answer()
    assert ("web-0.3",) == api.settled(now=76.0)
    assert api.target.problem is None


# Reports that stand for several victims.


def several(number: int, count: int, **words: str) -> Report:
    return replace(event(number, **words), victims=count, last_observed="2026-11-25T12:00:59.000000Z")


def test_a_report_of_several_victims_is_posted_and_then_counted(api: Api) -> None:
    """The report is done when its last victim is counted, because an Event cannot begin with a series."""
    api.offer(several(1, 5))
    (job,) = api.poster.jobs
    assert "series" not in job.body
    api.answer()
    assert () == api.settled()
    assert () == api.settled(now=10.0)
    api.answer()

    assert ("web-0.1",) == api.settled(now=10.0)
    assert {"web-0.1": 5} == api.events
    assert {("OOMVictimKilled", "posted"): 1, ("OOMVictimKilled", "counted"): 4} == api.counters.events


def test_a_report_of_several_victims_adds_its_number_to_a_series(api: Api) -> None:
    """A restart does not add it twice."""
    api.offer(event(1))
    api.answer()
    api.offer(several(2, 5), event(3), event(4))
    api.settled(now=10.0)
    api.boot()
    assert [True] == api.offer(several(2, 5))
    api.settled(now=11.0)
    api.answer()

    assert "web-0.2" in api.settled(now=11.0)
    assert 7 == api.events["web-0.1"]


@pytest.mark.parametrize("outcome", [OBSOLETE, REJECTED])
def test_repeats_of_an_event_that_never_arrived_are_offered_again(api: Api, outcome: Outcome) -> None:
    """There is no Event to count them in."""
    api.offer(event(1), event(2), event(3))
    api.answer(outcome, count=1)

    assert "web-0.3" in [name for name, _ in api.target.settled(0.0).again]


def test_repeats_of_an_event_that_expired_are_offered_again(api: Api) -> None:
    """The first of them becomes a new Event."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3), event(4))
    api.settled(now=10.0)
    api.answer(OBSOLETE)

    assert (("web-0.3", 0.0), ("web-0.4", 0.0)) == api.target.settled(10.0).again
    api.offer(event(3), event(4), now=10.0)
    assert [("POST", "events")] == api.sent
    api.answer()
    api.settled(now=20.0)
    api.answer()
    assert {"web-0.1": 1, "web-0.2": 1, "web-0.3": 2} == api.events


def test_a_rejected_update_is_tried_again(api: Api) -> None:
    """The next try includes the victims that came meanwhile."""
    api.offer(event(1), event(2))
    api.answer()
    api.offer(event(3))
    api.settled(now=10.0)
    api.answer(REJECTED)
    api.offer(event(4), now=11.0)
    api.settled(now=12.0)
    assert [] == api.sent
    api.settled(now=20.0)
    api.answer()

    assert ("web-0.3", "web-0.4") == api.settled(now=20.0)
    assert 3 == api.events["web-0.1"]


def test_after_the_idle_time_a_repeat_becomes_a_new_event(api: Api) -> None:
    """It gets an Event of its own, although the pod has no token for a repeat."""
    api.offer(event(1), event(2))
    api.answer()
    api.settled()
    api.offer(event(3), now=LIMITS.series_idle + 1)

    assert [("POST", "events")] == api.sent
