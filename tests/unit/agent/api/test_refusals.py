# SPDX-License-Identifier: Apache-2.0
"""The agent posts one Event on a pod for each annotation that it does not obey."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Assignment, Refusal, Unread
from oompolicy_agent.api import refusals as module
from oompolicy_agent.api.refusals import Refusals, event_of, name_of
from oompolicy_agent.settings import EventLimits, Settings
from oompolicy_agent.status.counters import Counters
from tests.unit.agent.fakeapi import OBSOLETE, REJECTED, FakePoster, longest
from tests.unit.agent.fakes import UID

if TYPE_CHECKING:
    from oompolicy_agent.api.outcome import Outcome

LIMITS = EventLimits(refusal_burst=3, refusal_rate=0.5)


class Pods:
    """The Events that were posted on the pods of a node."""

    def __init__(self) -> None:
        self.poster, self.counters = FakePoster(), Counters()
        settings = Settings(in_cluster=True, node="node-1", event_limits=LIMITS)
        self.refusals = Refusals(settings, self.poster, self.counters, longest)  # type: ignore[arg-type]

    def report(self, *assignments: Assignment, now: float = 0.0) -> float | None:
        return self.refusals.report(assignments, now)

    @property
    def posted(self) -> list[str]:
        return [job.body["metadata"]["name"] for job in self.poster.jobs]


def refused(value: str = "2000", pod: str = UID, message: str = "too high", policy: str | None = "web") -> Assignment:
    refusal = Refusal("oompolicy.dev/priority", value, message)
    return Assignment(
        pod, pod, "team-a", "web-0", 300, "OOMPolicy web", "policy", policy, "policy-uid", refusals=(refusal,)
    )


@pytest.fixture
def pods() -> Pods:
    return Pods()


def test_a_refusal_is_reported_once(pods: Pods) -> None:
    """Later resolutions do not report it again, and a checkpoint keeps that through restarts."""
    for _ in range(2):
        assert pods.report(refused()) is None
    pods.poster.answer()
    pods.report(refused())

    assert ([], {("OOMAnnotationRefused", "posted"): 1}) == (pods.posted, pods.counters.events)
    again = Pods()
    again.refusals.restore(pods.refusals.reported)
    again.report(refused())
    assert [] == again.posted


@pytest.mark.parametrize("other", [refused("3000"), refused(pod="other"), refused(message="not allowed")])
def test_a_changed_refusal_is_reported_again(pods: Pods, other: Assignment) -> None:
    """A refusal is another one if the value, the pod's uid or the reason differs."""
    pods.report(refused())
    pods.poster.answer()
    pods.report(other)

    assert 1 == len(pods.posted)


def test_a_refusal_that_returns_is_reported_again(pods: Pods) -> None:
    """The agent remembers only refusals that still hold, so the checkpoint does not grow."""
    pods.report(refused())
    pods.poster.answer()
    pods.report()
    assert () == pods.refusals.reported
    pods.report(refused())

    assert 1 == len(pods.posted)


def test_an_event_that_can_never_arrive_is_not_sent_again(pods: Pods) -> None:
    """The namespace of this pod is being deleted."""
    pods.report(refused())
    pods.poster.answer(OBSOLETE)
    pods.report(refused())

    assert ([], 1) == (pods.posted, pods.counters.events["OOMAnnotationRefused", "given_up"])


def test_an_event_that_is_rejected_is_sent_again_later(pods: Pods) -> None:
    """An admin has to allow it first, so the pauses between the tries grow."""
    pods.report(refused())
    pods.poster.answer(REJECTED)

    assert 0.5 == pods.report(refused())
    assert [] == pods.posted
    pods.report(refused(), now=0.5)
    assert 1 == len(pods.posted)
    pods.poster.answer(REJECTED)
    assert 1.0 == pods.report(refused(), now=0.5)


def test_no_event_is_queued_while_the_api_server_does_not_answer(pods: Pods) -> None:
    """When it answers again, only the refusals that still hold are reported."""
    pods.poster.failing = "no answer"

    assert pods.report(refused()) is None
    assert [] == pods.posted
    pods.poster.failing = None
    pods.report(refused("3000"))
    assert 1 == len(pods.posted)


def test_many_refusals_at_once_are_sent_at_a_limited_rate(pods: Pods) -> None:
    """A policy that forbids annotations causes one Event for every pod that has them."""
    many = [refused(pod=str(number)) for number in range(5)]

    assert 2.0 == pods.report(*many)
    assert 3 == len(pods.posted)
    assert 2.0 == pods.report(*many, now=2.0)
    assert pods.report(*many, now=4.0) is None
    assert 5 == len(set(pods.posted))


def test_a_namespace_with_many_refusals_delays_no_other(pods: Pods) -> None:
    """The namespaces take turns, even if one has 300 refusals and its pods come first by name."""
    evil = [replace(refused(pod=f"a{number}"), namespace="aaa") for number in range(300)]
    pods.report(*evil)
    shop = [replace(refused(pod=f"z{number}"), namespace="zzz", pod_name="db") for number in range(2)]
    for second in (2.0, 4.0, 6.0, 8.0):
        pods.report(*evil, *shop, now=second)

    assert ["db", "web-0", "db", "web-0"] == [name.partition(".")[0] for name in pods.posted[-4:]]


def test_many_refusals_cost_little_while_nothing_changes(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent reads them after each kill and each second, and makes names only for newly resolved pods."""
    named: list[str] = []

    def name(assignment: Assignment, _: Refusal) -> str:
        named.append(assignment.pod_uid)
        return assignment.pod_uid

    monkeypatch.setattr(module, "name_of", name)
    many = [refused(pod=str(number)) for number in range(5)]
    pods.report(*many)
    pods.report(*many[:-1], replace(many[-1]), now=2.0)

    assert ["0", "1", "2", "3", "4", "4"] == named


def test_refusals_beyond_the_described_ones_are_counted() -> None:
    """Each Event of the pod has their number in its note."""
    assignment = replace(refused(), more_refusals=12_990)

    assert event_of("n", assignment, assignment.refusals[0], "node-1", 0)["note"].endswith(
        "from OOMPolicy web; 12990 more annotations are refused"
    )


def test_an_unreadable_field_is_reported_once(pods: Pods) -> None:
    """The Event is on the pod, has the pod's priority, and is counted by a reason of its own."""
    odd = replace(refused(), refusals=(), unread=(Unread("spec.overhead", "must be an object, not a list"),))
    pods.report(odd)
    (event,) = [job.body for job in pods.poster.jobs]
    pods.poster.answer()
    pods.report(odd)

    assert ([], {("OOMPodFieldUnreadable", "posted"): 1}) == (pods.posted, pods.counters.events)
    assert ("OOMPodFieldUnreadable", "Resolve", UID) == (event["reason"], event["action"], event["regarding"]["uid"])
    expected = (
        "spec.overhead is ignored because it cannot be read: must be an object, not a list;"
        " the pod has priority 300 from OOMPolicy web"
    )
    assert expected == event["note"]


def test_the_event_has_the_requested_value_and_the_valid_priority() -> None:
    """The Event is on the pod and relates to the policy.

    It follows the rules of the API server and of our admission policy.
    """
    assignment = refused()
    event = event_of("n", assignment, assignment.refusals[0], "node-1", 1_764_072_000_000_001_000)

    assert ("OOMAnnotationRefused", "Resolve", "Warning", "oompolicy.dev/agent", "node-1") == tuple(
        event[key] for key in ("reason", "action", "type", "reportingController", "reportingInstance")
    )
    assert "2025-11-25T12:00:00.000001Z" == event["eventTime"]
    assert ("team-a", "team-a", UID) == (
        event["metadata"]["namespace"], event["regarding"]["namespace"], event["regarding"]["uid"]
    )  # fmt: skip
    assert ("OOMPolicy", "web", "policy-uid") == tuple(event["related"][key] for key in ("kind", "name", "uid"))
    expected = (
        "annotation oompolicy.dev/priority: '2000' is refused: too high; the pod has priority 300 from OOMPolicy web"
    )
    assert expected == event["note"]


def test_without_a_policy_the_event_relates_to_none() -> None:
    """If no policy matches the pod, no policy allows annotations."""
    assignment = refused(policy=None)

    assert "related" not in event_of("n", assignment, assignment.refusals[0], "node-1", 0)


def test_a_long_value_is_shortened() -> None:
    """An annotation may have 256 KiB of any characters, and a note at most 1,024 bytes."""
    assignment = refused("9" * 10_000 + "\n")
    event = event_of("n", assignment, assignment.refusals[0], "node-1", 0)

    assert 1024 >= len(event["note"].encode())
    assert name_of(assignment, assignment.refusals[0]).startswith("web-0.")


@pytest.mark.parametrize("outcome", [OBSOLETE, REJECTED])
def test_a_report_with_an_answer_is_no_longer_under_way(pods: Pods, outcome: Outcome) -> None:
    """This holds for an Event that can never arrive, and for one that is rejected."""
    pods.report(refused())
    pods.poster.answer(outcome)

    assert set() == pods.refusals._under_way
