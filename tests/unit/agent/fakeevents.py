# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of Events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.api.outcome import DONE
from oompolicy_agent.api.sink import ApiSink
from oompolicy_agent.settings import EventLimits, Settings
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.victims.report import read_report
from tests.unit.agent.fakeapi import FakePoster, FakeWake, longest

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.victims.report import Report

LIMITS = EventLimits(node_burst=4, node_rate=1.0, pod_burst=2, pod_rate=0.01, series_every=10.0, under_way=3)


def event(
    number: int, pod: str = "web-0", container: str = "app", policy: str = "web", namespace: str = "team-a"
) -> Report:
    event = {
        "metadata": {"name": f"{pod}.{number}", "namespace": namespace},
        "eventTime": f"2026-11-25T12:00:{number % 60:02}.000001Z",
        "reason": "OOMVictimKilled",
        "regarding": {"kind": "Pod", "name": pod, "uid": pod, "fieldPath": f"spec.containers{{{container}}}"},
        "related": {"name": policy},
        "note": "killed",
    }
    return read_report(event, {})


class Api:
    """The API server's Events: the number of victims of each, by name."""

    def __init__(self, folder: Path, limits: EventLimits = LIMITS) -> None:
        self.settings = Settings(in_cluster=True, node="node-1", state_dir=folder, event_limits=limits)
        self.events: dict[str, int] = {}
        self.boot()

    def boot(self) -> None:
        self.poster, self.counters = FakePoster(), Counters()
        self.target = ApiSink(self.settings, self.poster, self.counters, FakeWake(), longest)  # type: ignore[arg-type]

    def offer(self, *events: Report, now: float = 0.0) -> list[bool]:
        return [self.target.offer(each.name, each, now) for each in events]

    def answer(self, outcome: Outcome = DONE, count: int = 1_000) -> None:
        """Take the requests that were sent. A real API server answers 404 to an update of an unknown Event."""
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
