# SPDX-License-Identifier: Apache-2.0
"""Sends Events to the API server from a thread of its own, one after the other, and repeats failed requests.

A namespace whose admission webhook hangs looks like an unreachable API server. So after some failed tries the poster
sends a request that no webhook delays. If the API server answers that request before and after a failed try, the Event
is rejected, and the Events of the other namespaces are sent.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from oompolicy.api import NAMESPACES
from oompolicy.kube.backoff import Backoff
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy_agent.api.outcome import DONE, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.status.counters import Counters

_EVENTS: Final = "/apis/events.k8s.io/v1/namespaces/{}/events"
_PROBE: Final = NAMESPACES
"""The path of the other request. An agent may list it, and its answer depends on etcd but on no admission webhook."""
_TRIES: Final = 2
"""Failures of one request in a row before the first probe is sent."""
_HANGING: Final = 300.0
"""Seconds without requests to a namespace that hangs. Each try delays the others until it times out."""
_SLOW: Final = 5.0
"""Seconds. A namespace whose answer takes longer is held. A busy API server answers sooner."""
_SLOW_SHARE: Final = 4.0
"""The time for which a slow namespace is held, as a multiple of the time that its answer took."""


class _Held(NamedTuple):
    """The jobs of a namespace that are not sent: jobs up to number `submitted`, and all jobs before `until`."""

    submitted: int
    until: float


@dataclass(frozen=True, slots=True)
class Job:
    """One request. Its outcome is passed to `settled` in the loop's thread. It is never `unavailable`."""

    what: Literal["event", "series"]
    method: str
    path: str
    body: Mapping[str, Any]
    settled: Callable[[Outcome], None] = field(compare=False)
    namespace: str

    @property
    def content_type(self) -> str:
        """The content type of the body."""
        return "application/json" if self.method == "POST" else "application/merge-patch+json"


def post(event: Mapping[str, Any], settled: Callable[[Outcome], None]) -> Job:
    """Return the job that creates an Event."""
    namespace = event["metadata"]["namespace"]
    return Job("event", "POST", _EVENTS.format(namespace), event, settled, namespace)


def patch_series(namespace: str, name: str, count: int, last_observed: str, settled: Callable[[Outcome], None]) -> Job:
    """Return the job that updates the number of victims that an Event counts. The API allows no other change."""
    series = {"series": {"count": count, "lastObservedTime": last_observed}}
    return Job("series", "PATCH", f"{_EVENTS.format(namespace)}/{name}", series, settled, namespace)


class Poster:
    """The thread that sends Events. `failing` is a sentence while the API server accepts nothing, or None."""

    def __init__(self, connection: Connection, counters: Counters, wake: Wake, backoff: Backoff | None = None) -> None:
        """Start the thread. It sets `wake` when it has outcomes for `settle`, and when `failing` changes."""
        self._connection, self._counters = connection, counters
        self._backoff = backoff or Backoff()
        self._jobs: SimpleQueue[tuple[int, Job] | None] = SimpleQueue()
        self._submitted = 0
        self._held: dict[str, _Held] = {}
        self._outcomes: deque[tuple[Job, Outcome]] = deque()
        self._wake = wake
        self._stopped = Event()
        self.failing: str | None = None
        # A daemon thread does not delay the end of the process. Unsent Events are still spooled.
        self._thread = Thread(target=self._run, name="poster", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job behind the jobs that were submitted before."""
        self._submitted += 1
        self._jobs.put((self._submitted, job))

    def settle(self) -> None:
        """Pass the outcomes since the last call to their jobs. The loop calls this in its thread."""
        while self._outcomes:
            job, outcome = self._outcomes.popleft()
            job.settled(outcome)

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread after the request under way, without waiting for it."""
        self._stopped.set()
        self._jobs.put(None)

    def _run(self) -> None:
        while (numbered := self._jobs.get()) and (outcome := self._deliver(*numbered)):
            self._outcomes.append((numbered[1], outcome))
            self._wake.set()

    def _deliver(self, number: int, job: Job) -> Outcome | None:
        """Send a job until it has an outcome. Return None after `close`."""
        held = self._held.get(job.namespace)
        if held and (number <= held.submitted or time.monotonic() < held.until):
            return Outcome("unsent")
        # A namespace that is held has failed between two probes before.
        tries, answered = (1, True) if held else (_TRIES, False)
        while not self._stopped.is_set():
            begun = time.monotonic()
            outcome, tries = self._try(job), tries - 1
            if outcome.kind != "unavailable":
                taken = time.monotonic() - begun
                self._hold(job.namespace, _SLOW_SHARE * taken if taken > _SLOW else 0.0)
                return self._answered(outcome)
            if tries <= 0 and outcome.elsewhere:
                # An API server that comes back between a failure and its probe says nothing about the namespace.
                before, answered = answered, self._server_answers()
                if before and answered:
                    self._hold(job.namespace, _HANGING)
                    return self._answered(Outcome("rejected", outcome.sentence))
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
        self.failing = None
        return outcome

    def _server_answers(self) -> bool:
        """Return True if the API server answers the probe."""
        try:
            self._connection.request("GET", _PROBE, query={"limit": "1"})
        except (ApiError, UnreachableError):
            return False
        return True

    def _try(self, job: Job) -> Outcome:
        try:
            self._connection.request(job.method, job.path, body=job.body, content_type=job.content_type)
        except (ApiError, UnreachableError) as error:
            outcome = judge(error)
            if outcome is not DONE:
                self._counters.error(job.what, error.status if isinstance(error, ApiError) else None)
            return outcome
        return DONE

    def _fail(self, sentence: str) -> None:
        if self.failing != sentence:
            self.failing = sentence
            self._wake.set()
