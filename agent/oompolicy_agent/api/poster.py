# SPDX-License-Identifier: Apache-2.0
"""Sends Events to the API server from a thread of its own, one after the other, for as long as it takes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy_agent.api.backoff import Backoff
from oompolicy_agent.api.outcome import DONE, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.tally import Tally

_EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"


@dataclass(frozen=True, slots=True)
class Job:
    """One request. `settled` is called with its outcome, never `again`, in the loop's thread."""

    what: Literal["event", "series"]
    method: str
    path: str
    body: Mapping[str, Any]
    settled: Callable[[Outcome], None] = field(compare=False)

    @property
    def content_type(self) -> str:
        """That of the body."""
        return "application/json" if self.method == "POST" else "application/merge-patch+json"


def post(event: Mapping[str, Any], settled: Callable[[Outcome], None]) -> Job:
    """Create an Event."""
    return Job("event", "POST", _EVENTS.format(event["metadata"]["namespace"]), event, settled)


def patch_series(namespace: str, name: str, count: int, last_observed: str, settled: Callable[[Outcome], None]) -> Job:
    """Say how many victims an Event stands for; all that the API lets one change of it."""
    series = {"series": {"count": count, "lastObservedTime": last_observed}}
    return Job("series", "PATCH", f"{_EVENTS.format(namespace)}/{name}", series, settled)


class Poster:
    """`failing` is a sentence while the API server takes nothing, or empty."""

    def __init__(self, connection: Connection, tally: Tally, wake: Wake, backoff: Backoff | None = None) -> None:
        """Begin to wait for jobs; `wake` is set when there is something to `settle`, or `failing` changed."""
        self._connection, self._tally = connection, tally
        self._backoff = backoff or Backoff()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._outcomes: deque[tuple[Job, Outcome]] = deque()
        self._wake = wake
        self._stopped = Event()
        self.failing = ""
        # It never keeps the process from ending: what is under way is still spooled.
        self._thread = Thread(target=self._run, name="poster", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Send it, after all that was submitted before."""
        self._jobs.put(job)

    def settle(self) -> None:
        """Tell of all that was sent since the last call. In the loop's thread."""
        while self._outcomes:
            job, outcome = self._outcomes.popleft()
            job.settled(outcome)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) and (outcome := self._deliver(job)):
            self._outcomes.append((job, outcome))
            self._wake.set()

    def _deliver(self, job: Job) -> Outcome | None:
        """Try for ever while nobody is there to take it. None once stopped."""
        while not self._stopped.is_set():
            outcome = self._try(job)
            if outcome.kind != "again":
                self._backoff.succeeded()
                self.failing = ""
                return outcome
            self._fail(outcome.sentence)
            self._stopped.wait(self._backoff.failed(outcome.after))
        return None

    def _try(self, job: Job) -> Outcome:
        try:
            self._connection.request(job.method, job.path, body=job.body, content_type=job.content_type)
        except (ApiError, UnreachableError) as error:
            outcome = judge(error)
            if outcome is not DONE:
                self._tally.error(job.what, error.status if isinstance(error, ApiError) else None)
            return outcome
        return DONE

    def _fail(self, sentence: str) -> None:
        if self.failing != sentence:
            self.failing = sentence
            self._wake.set()
