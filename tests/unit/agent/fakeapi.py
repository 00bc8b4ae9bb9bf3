# SPDX-License-Identifier: Apache-2.0
"""Fakes that give an API server's answers in a fixed order, and a poster that sends nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from oompolicy.kube.backoff import Backoff
from oompolicy.kube.errors import ApiError
from oompolicy_agent.api.outcome import DONE, Outcome

if TYPE_CHECKING:
    from oompolicy_agent.api.poster import Job

OBSOLETE = Outcome("obsolete", "404 NotFound: no such namespace")
REJECTED = Outcome("rejected", "403 Forbidden: not you")


class FakeConnection:
    """A connection that raises the exceptions in `answers`, one for each request, and then accepts everything."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []
        self.begun = 0
        self.may_answer = threading.Semaphore(1_000_000)

    def request(self, method: str, path: str, *, body: object = None, **_: object) -> dict[str, Any]:
        self.begun += 1
        self.may_answer.acquire()
        self.asked.append((method, path, body))
        if self.answers and (error := self.answers.pop(0)):
            raise error
        return {}


class FakeWake:
    """A wake that wakes no loop."""

    fd = -1

    def take(self) -> bool:
        return False


class FakePoster:
    """A poster that keeps its jobs until the test gives their outcome."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.failing: str | None = None

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def settle(self) -> None:
        """Do nothing, because `answer` has settled the jobs already."""

    def answer(self, outcome: Outcome = DONE, count: int = 1_000) -> None:
        """Settle the first `count` jobs with this outcome."""
        answered, self.jobs = self.jobs[:count], self.jobs[count:]
        for job in answered:
            job.settled(outcome)


def at_once() -> Backoff:
    """Return a backoff without pauses."""
    return Backoff(lambda low, _: low)


def longest(_: float, high: float) -> float:
    """Return the largest value of the range instead of a random one."""
    return high


def refused(status: int, reason: str = "", *causes: str, after: float | None = None) -> ApiError:
    return ApiError(status, reason, "no", after, causes)
