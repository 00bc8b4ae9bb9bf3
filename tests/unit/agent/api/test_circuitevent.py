# SPDX-License-Identifier: Apache-2.0
"""An open circuit has one Event on its Node."""

from __future__ import annotations

from oompolicy_agent.api.circuitevent import CircuitEvents
from oompolicy_agent.status.counters import Counters
from tests.unit.agent.fakeapi import REJECTED, FakePoster


def events(poster: FakePoster, counters: Counters, boot: str = "boot") -> CircuitEvents:
    return CircuitEvents("node-1", boot, poster, counters)  # type: ignore[arg-type]


def test_an_opening_has_one_event() -> None:
    """The Event is on the Node, in the namespace where kubectl describe looks for it."""
    poster, counters = FakePoster(), Counters()
    reporter = events(poster, counters)
    reporter.report(5, "too many kills")
    (job,) = poster.jobs
    poster.answer()
    reporter.report(5, "too many kills")

    body = job.body
    assert ("default", "Node", "node-1") == (job.namespace, body["regarding"]["kind"], body["regarding"]["name"])
    assert ("OOMPolicyCircuitOpen", "Audit", "too many kills") == (body["reason"], body["action"], body["note"])
    assert [] == poster.jobs
    assert {("OOMPolicyCircuitOpen", "posted"): 1} == counters.events


def test_each_opening_has_a_name_of_its_own() -> None:
    """An agent that was restarted posts the same name, so the API server keeps one Event."""
    poster = FakePoster()
    for boot, opened in (("a", 5), ("a", 5), ("a", 6), ("b", 5)):
        events(poster, Counters(), boot).report(opened, "too many kills")
    first, again, *others = (job.body["metadata"]["name"] for job in poster.jobs)

    assert first == again
    assert 3 == len({first, *others})


def test_a_rejected_event_is_tried_again() -> None:
    poster, counters = FakePoster(), Counters()
    reporter = events(poster, counters)
    reporter.report(5, "too many kills")
    poster.answer(REJECTED)
    reporter.report(5, "too many kills")

    assert 1 == len(poster.jobs)
    assert {("OOMPolicyCircuitOpen", "given_up"): 1} == counters.events
