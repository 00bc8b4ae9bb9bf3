# SPDX-License-Identifier: Apache-2.0
"""Each answer of the API server has one consequence, and a request without an answer is sent again."""

from __future__ import annotations

import select
from threading import Semaphore
from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.backoff import Backoff
from oompolicy.kube.connection import Connection
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy_agent.api import poster as module
from oompolicy_agent.api.limits import MAX_PODS, Bucket, PodBuckets
from oompolicy_agent.api.outcome import DONE, Outcome, judge
from oompolicy_agent.api.poster import Poster, patch_series, post
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.status.counters import Counters
from tests.unit.agent.fakeapi import FakeConnection, at_once, refused
from tests.unit.kube.server import Answer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = {"metadata": {"name": "web-0.1", "namespace": "team-a"}}
EVENTS = "/apis/events.k8s.io/v1/namespaces/team-a/events"


def denied_by_webhook(status: int, reason: str, *causes: str) -> ApiError:
    """Return the error for a request that a webhook denied. A webhook chooses status, reason and causes itself."""
    return ApiError(
        status, reason, 'events "x" is forbidden: admission webhook "w" denied the request: no', None, causes
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(409, "AlreadyExists"), "done"),
        (refused(404, "NotFound"), "obsolete"),
        (refused(422, "Invalid"), "obsolete"),
        (refused(422, "Invalid", "", "FieldValueInvalid"), "obsolete"),
        (refused(422, "Invalid", ""), "rejected"),
        (refused(422, "Unprocessable Entity"), "rejected"),
        (refused(404, "Not Found"), "rejected"),
        (denied_by_webhook(422, "Invalid", "FieldValueInvalid"), "rejected"),
        (denied_by_webhook(403, "Forbidden", "NamespaceTerminating"), "rejected"),
        *((denied_by_webhook(status, "Whatever"), "rejected") for status in (401, 404, 413, 429, 500, 503)),
        (denied_by_webhook(409, "AlreadyExists"), "rejected"),
        (refused(403, "Forbidden", "NamespaceTerminating"), "obsolete"),
        (refused(403, "Forbidden"), "rejected"),
        (refused(400, "BadRequest"), "rejected"),
        (refused(409, "Conflict"), "rejected"),
        (refused(401, "Unauthorized"), "unavailable"),
        (refused(429, "TooManyRequests", after=3.0), "unavailable"),
        (refused(500, "InternalError"), "rejected"),
        (refused(503, "ServiceUnavailable"), "unavailable"),
        (UnreachableError("no answer"), "unavailable"),
    ],
)
def test_each_answer_has_its_outcome(error: ApiError | UnreachableError, kind: str) -> None:
    """Only an answer of the API server itself decides that an Event exists or can never exist.

    A webhook's answer is "rejected".
    """
    outcome = judge(error)

    assert (kind, getattr(error, "retry_after", None) or 0.0) == (outcome.kind, outcome.after)


def test_a_backoff_grows_with_full_jitter() -> None:
    """The draws are from below half a second to below half a minute, and the time that the server asks for is added."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high / 2

    backoff = Backoff(uniform)
    waits = [backoff.failed() for _ in range(8)]
    backoff.succeeded()
    waits += [backoff.failed(at_least=3.0)]

    assert [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 3.25] == waits
    assert {0.0} == {low for low, _ in drawn}


class Posted:
    """A poster with a fake connection, and the outcomes that it reported."""

    def __init__(self, *answers: Exception | None, backoff: Backoff | None = None) -> None:
        self.connection, self.counters = FakeConnection(*answers), Counters()
        self.wake = Wake()
        self.poster = Poster(self.connection, self.counters, self.wake, backoff or at_once())  # type: ignore[arg-type]
        self.outcomes: list[Outcome] = []

    def close(self) -> None:
        self.poster.close()
        self.wake.close()

    def wait(self, condition: Callable[[], object]) -> None:
        """Settle the poster's jobs until the condition holds."""
        while not condition():
            assert select.select([self.wake.fd], [], [], 10)[0], "the poster never spoke"
            self.wake.take()
            self.poster.settle()


def test_events_are_posted_in_their_order() -> None:
    """Their outcomes are reported in the thread that calls `settle`."""
    posted = Posted()
    posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.poster.submit(patch_series("team-a", "web-0.1", 3, "2026-11-25T12:00:00.000001Z", posted.outcomes.append))
    posted.wait(lambda: len(posted.outcomes) == 2)
    posted.close()
    series = {"series": {"count": 3, "lastObservedTime": "2026-11-25T12:00:00.000001Z"}}

    assert [("POST", EVENTS, EVENT), ("PATCH", f"{EVENTS}/web-0.1", series)] == posted.connection.asked
    assert [DONE, DONE] == posted.outcomes


def test_a_failed_request_is_repeated_until_it_arrives() -> None:
    """Each failure is counted by its reason."""
    posted = Posted(UnreachableError("no answer"), refused(503), refused(429, after=0.0), None)
    posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.wait(lambda: posted.outcomes)
    posted.close()

    assert 4 == len(posted.connection.asked)
    assert [DONE] == posted.outcomes
    assert posted.poster.failing is None
    assert {("event", "unreachable"): 1, ("event", "503"): 1, ("event", "429"): 1} == posted.counters.errors


@pytest.mark.parametrize(
    "odd",
    [
        Answer(503, {"kind": "Status", "details": [1], "code": "soon"}),
        Answer(503, {"kind": "Status", "details": {"retryAfterSeconds": "soon", "causes": ["x"]}}),
        Answer(body=b"[" * 100_000),
    ],
)
def test_an_odd_answer_of_a_proxy_does_not_end_the_poster(odd: Answer) -> None:
    """The poster sends the Event again until the API server takes it."""
    outcomes: list[Outcome] = []
    with serving(odd, Answer(201, {})) as server:
        wake = Wake()
        poster = Poster(Connection(server.configuration), Counters(), wake, at_once())
        poster.submit(post(EVENT, outcomes.append))
        while not outcomes:
            assert select.select([wake.fd], [], [], 10)[0], "the poster never spoke"
            wake.take()
            poster.settle()
        poster.close()
        wake.close()

    assert [DONE] == outcomes
    assert 2 == len(server.asked)


def test_a_failure_is_reported_at_once_and_cleared_by_success() -> None:
    """The failure wakes the loop, which therefore needs no polling."""
    posted = Posted(UnreachableError("no answer"), backoff=Backoff(lambda _, __: 0.05))
    posted.connection.may_answer = Semaphore(1)
    posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.wait(lambda: posted.poster.failing)
    assert "no answer" == posted.poster.failing
    posted.connection.may_answer.release()
    posted.wait(lambda: posted.outcomes)

    assert posted.poster.failing is None
    posted.close()


def test_a_refused_event_delays_no_other() -> None:
    """The outcome of the first one is "rejected", and the poster sends the next one."""
    posted = Posted(refused(403, "Forbidden"), None)
    for _ in range(2):
        posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.wait(lambda: len(posted.outcomes) == 2)
    posted.close()

    assert ["rejected", "done"] == [each.kind for each in posted.outcomes]


class Hanging:
    """An API server. Its webhook for the namespace `evil` never answers, or takes some time of the fake clock."""

    def __init__(self, takes: float | None = None) -> None:
        self.takes, self.now, self.asked = takes, 0.0, list[str]()

    def monotonic(self) -> float:
        return self.now

    def request(self, method: str, path: str, **_: object) -> dict[str, object]:  # noqa: ARG002
        self.asked.append(path)
        if "/evil/" in path and self.takes is None:
            raise UnreachableError("no answer: Read timed out")
        self.now += self.takes or 0.0 if "/evil/" in path else 0.0
        return {}


def in_namespace(name: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"name": "web-0.1", "namespace": name}}


@pytest.mark.parametrize(
    ("takes", "tries", "expected"),
    [(None, 3, ["rejected", "unsent", "unsent", "done"]), (9.0, 1, ["done", "unsent", "unsent", "done"])],
    ids=["hangs", "is slow"],
)
def test_a_namespace_that_hangs_delays_no_other(
    monkeypatch: pytest.MonkeyPatch, takes: float | None, tries: int, expected: list[str]
) -> None:
    """If only one namespace gets no answer, its webhook is the cause. The poster tries it again later."""
    posted = Posted()
    server = Hanging(takes)
    monkeypatch.setattr(module, "time", server)
    posted.poster._connection = server  # type: ignore[assignment]
    for namespace in ("evil", "evil", "evil", "other"):
        posted.poster.submit(post(in_namespace(namespace), posted.outcomes.append))
    posted.wait(lambda: len(posted.outcomes) == 4)
    asked = len([path for path in server.asked if "/evil/" in path])
    server.now += 1000.0
    posted.poster.submit(post(in_namespace("evil"), posted.outcomes.append))
    posted.wait(lambda: len(posted.outcomes) == 5)
    posted.close()

    assert (tries, expected) == (asked, [each.kind for each in posted.outcomes[:4]])
    assert expected[0] == posted.outcomes[4].kind
    assert posted.poster.failing is None


class Returning:
    """An API server that is unreachable for some requests, the last of which is for an Event."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def request(self, method: str, path: str, **_: object) -> dict[str, object]:  # noqa: ARG002
        if self.failures > 0:
            self.failures -= method == "POST"
            raise UnreachableError("no answer: Connection refused")
        return {}


@pytest.mark.parametrize("failures", range(1, 9))
def test_an_api_server_that_comes_back_is_no_hanging_namespace(failures: int) -> None:
    """The probe after the last failed try may already be answered. The Event arrives with the next try."""
    posted = Posted()
    posted.poster._connection = Returning(failures)  # type: ignore[assignment]
    for _ in range(2):
        posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.wait(lambda: len(posted.outcomes) == 2)
    posted.close()

    assert [DONE, DONE] == posted.outcomes


def test_a_closed_poster_ends_without_an_answer() -> None:
    """The request that was under way has no outcome, so its report stays in the spool."""
    posted = Posted(*[UnreachableError("no answer")] * 1_000_000, backoff=Backoff(lambda _, __: 60.0))
    posted.poster.submit(post(EVENT, posted.outcomes.append))
    posted.wait(lambda: posted.poster.failing)
    posted.close()
    posted.poster._thread.join(10)

    assert not posted.poster.alive
    assert [] == posted.outcomes


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """A bucket never holds more tokens than its burst."""
    bucket = Bucket(burst=2, rate=0.5, tokens=2, at=0.0)
    waits = []
    for now in (0.0, 0.0, 0.0, 1.0, 2.0, 100.0, 100.0, 100.0):
        waits.append(bucket.wait(now))
        bucket.take(now)

    assert [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 2.0] == waits


def test_each_pod_has_its_own_bucket() -> None:
    """The buckets that were unused for longest are forgotten, so memory is bounded."""
    pods = PodBuckets(burst=1, rate=0.1)
    pods.of("a", 0.0).take(0.0)
    assert (10.0, 0.0) == (pods.of("a", 0.0).wait(0.0), pods.of("b", 0.0).wait(0.0))
    for number in range(MAX_PODS):
        pods.of(str(number), 0.0)

    assert 0.0 == pods.of("a", 0.0).wait(0.0)
