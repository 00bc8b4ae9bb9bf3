# SPDX-License-Identifier: Apache-2.0
"""Sends Events to the API server from a thread of its own, one after the other, for as long as it takes.

One namespace may answer as if the whole API server were away: its admission webhook hangs. After some tries the poster
asks for something else; where that is answered, the namespace is what refuses, and the others go on.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy_agent.api.backoff import Backoff
from oompolicy_agent.api.outcome import DONE, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.status.counters import Counters

_EVENTS: Final = "/apis/events.k8s.io/v1/namespaces/{}/events"
_ANYTHING: Final = "/api/v1/namespaces"
"""An agent may list it, no admission webhook is asked, and etcd is: where that is away, no namespace is to blame."""
_TRIES: Final = 3
"""Failures of one request, one after the other, before something else is asked for."""
_HANGING: Final = 300.0
"""Seconds in which nothing is sent to a namespace that hangs: each try holds up the others until it times out."""
_SLOW: Final = 5.0
"""Seconds for one answer, which others wait for as well; an API server with much to do takes less."""
_SLOW_SHARE: Final = 4.0
"""So many times what one answer took passes before the same namespace is asked again."""


class _Held(NamedTuple):
    """Jobs for a namespace that are not sent: those up to number `submitted`, and any before `until`."""

    submitted: int
    until: float


@dataclass(frozen=True, slots=True)
class Job:
    """One request. `settled` is called with its outcome, never `again`, in the loop's thread."""

    what: Literal["event", "series"]
    method: str
    path: str
    body: Mapping[str, Any]
    settled: Callable[[Outcome], None] = field(compare=False)
    namespace: str

    @property
    def content_type(self) -> str:
        """That of the body."""
        return "application/json" if self.method == "POST" else "application/merge-patch+json"


def post(event: Mapping[str, Any], settled: Callable[[Outcome], None]) -> Job:
    """Create an Event."""
    namespace = event["metadata"]["namespace"]
    return Job("event", "POST", _EVENTS.format(namespace), event, settled, namespace)


def patch_series(namespace: str, name: str, count: int, last_observed: str, settled: Callable[[Outcome], None]) -> Job:
    """Say how many victims an Event stands for; all that the API lets one change of it."""
    series = {"series": {"count": count, "lastObservedTime": last_observed}}
    return Job("series", "PATCH", f"{_EVENTS.format(namespace)}/{name}", series, settled, namespace)


class Poster:
    """`failing` is a sentence while the API server takes nothing, or empty."""

    def __init__(self, connection: Connection, tally: Counters, wake: Wake, backoff: Backoff | None = None) -> None:
        """Begin to wait for jobs; `wake` is set when there is something to `settle`, or `failing` changed."""
        self._connection, self._tally = connection, tally
        self._backoff = backoff or Backoff()
        self._jobs: SimpleQueue[tuple[int, Job] | None] = SimpleQueue()
        self._submitted = 0
        self._held: dict[str, _Held] = {}
        self._outcomes: deque[tuple[Job, Outcome]] = deque()
        self._wake = wake
        self._stopped = Event()
        self.failing = ""
        # It never keeps the process from ending: what is under way is still spooled.
        self._thread = Thread(target=self._run, name="poster", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Send it, after all that was submitted before."""
        self._submitted += 1
        self._jobs.put((self._submitted, job))

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
        while (numbered := self._jobs.get()) and (outcome := self._deliver(*numbered)):
            self._outcomes.append((numbered[1], outcome))
            self._wake.set()

    def _deliver(self, number: int, job: Job) -> Outcome | None:
        """Try for ever while nobody is there to take it. None once stopped."""
        held = self._held.get(job.namespace)
        if held and (number <= held.submitted or time.monotonic() < held.until):
            return Outcome("unsent")
        tries = 1 if held else _TRIES
        while not self._stopped.is_set():
            begun = time.monotonic()
            outcome, tries = self._try(job), tries - 1
            if outcome.kind != "again":
                taken = time.monotonic() - begun
                self._hold(job.namespace, _SLOW_SHARE * taken if taken > _SLOW else 0.0)
                return self._answered(outcome)
            if tries <= 0 and outcome.elsewhere and self._answers():
                self._hold(job.namespace, _HANGING)
                return self._answered(Outcome("later", outcome.sentence))
            self._fail(outcome.sentence)
            self._stopped.wait(self._backoff.failed(outcome.after))
        return None

    def _hold(self, namespace: str, seconds: float) -> None:
        if seconds:
            self._held[namespace] = _Held(self._submitted, time.monotonic() + seconds)
        else:
            self._held.pop(namespace, None)

    def _answered(self, outcome: Outcome) -> Outcome:
        self._backoff.succeeded()
        self.failing = ""
        return outcome

    def _answers(self) -> bool:
        """Whether the API server answers us when it is asked for something else."""
        try:
            self._connection.request("GET", _ANYTHING, query={"limit": "1"})
        except (ApiError, UnreachableError):
            return False
        return True

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
