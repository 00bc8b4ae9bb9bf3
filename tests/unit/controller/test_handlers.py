# SPDX-License-Identifier: Apache-2.0
"""kopf's watch is never lost silently. `Handlers` reports its failure, ends, and can be started again."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.controller.handlers import OF_SETTINGS, Handlers
from tests.unit.controller.raws import raw_policy, raw_settings
from tests.unit.kube.server import Answer, Asked, Server, status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GROUP = "/apis/oompolicy.dev/v1alpha1"
PATH = f"{GROUP}/oompolicies"


def resources(version: str, **kinds: str) -> dict[str, Any]:
    verbs = ["list", "watch"]
    return {
        "groupVersion": version,
        "resources": [
            {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": False, "verbs": verbs}
            for name, kind in kinds.items()
        ],
    }


def group(name: str, version: str) -> dict[str, Any]:
    found = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [found], "preferredVersion": found}


# kopf does not start without namespaces and definitions, although it watches neither of them here.
DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/api/v1": resources("v1", namespaces="Namespace"),
    "/apis": {"groups": [group("apiextensions.k8s.io", "v1"), group("oompolicy.dev", "v1alpha1")]},
    "/apis/apiextensions.k8s.io/v1": resources(
        "apiextensions.k8s.io/v1", customresourcedefinitions="CustomResourceDefinition"
    ),
    GROUP: resources("oompolicy.dev/v1alpha1", oompolicies="OOMPolicy"),
}


class Cluster:
    """An API server without policies in lists. A watch gets the next of `watches`, or else a stream with one policy."""

    def __init__(self) -> None:
        self.discovery: dict[str, Any] = dict(DISCOVERY)
        self.watches: list[Answer] = []
        self.watched: Queue[bool] = Queue()
        self.discovered: Queue[bool] = Queue()

    def answer(self, asked: Asked) -> Answer:
        if asked.path == GROUP:
            self.discovered.put(True)
        if asked.path in self.discovery:
            return json_of(self.discovery[asked.path])
        if asked.path != PATH:
            return json_of(status(404, "NotFound", "not found"), 404)
        if "watch" not in asked.query:
            return json_of({"metadata": {"resourceVersion": "1"}, "items": []})
        self.watched.put(True)
        if self.watches:
            return self.watches.pop(0)
        policy = {**raw_policy("a"), "apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy"}
        return Answer(events=({"type": "ADDED", "object": policy},))


def json_of(body: object, code: int = 200, **headers: str) -> Answer:
    return Answer(code, body, {"Content-Type": "application/json", **headers})


class Recorder:
    """The calls of `Handlers`, in queues for the test's thread."""

    def __init__(self) -> None:
        self.seen: Queue[str] = Queue()
        self.ended: Queue[bool] = Queue()

    def see(self, _: str | None, raw: Mapping[str, Any]) -> None:
        self.seen.put(raw["metadata"]["name"])

    def end(self) -> None:
        self.ended.put(True)


class Clock:
    """A clock that only the test advances, so that a slow machine does not exhaust kopf's time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def handlers(server: Server, recorder: Recorder, clock: Clock) -> Iterator[Handlers]:
    made = Handlers(
        lambda: server.configuration("token"),
        recorder.see,
        recorder.end,
        patience=1.0,
        clock=clock,
        uniform=lambda *_: 0.01,
    )
    yield made
    made.stop(10)


def test_a_refused_watch_ends_and_can_be_started_again(
    cluster: Cluster, handlers: Handlers, recorder: Recorder
) -> None:
    """A 404, as after the definition is deleted, ends kopf. After the next start, policies are received again."""
    cluster.watches = [json_of(status(404, "NotFound", "page not found"), 404)]
    assert handlers.failing is None
    handlers.start()

    assert recorder.ended.get(timeout=30)
    assert handlers.failing is not None
    assert f"{PATH}: kopf failed: APINotFoundError" in handlers.failing
    assert "404" in handlers.failing
    handlers.start()
    assert "a" == recorder.seen.get(timeout=30)
    assert handlers.failing is None


@pytest.mark.parametrize(
    "answer",
    [
        json_of(status(403, "Forbidden", "no"), 403),
        json_of(status(429, "TooManyRequests", "later"), 429, **{"Retry-After": "86400"}),
        json_of(status(429, "TooManyRequests", "later"), 429, **{"Retry-After": "soon"}),
        Answer(events=({"type": "ERROR", "object": status(500, "InternalError", "no")},)),
        Answer(events=({"type": "ERROR", "object": [1]},)),
        Answer(events=("garbage",)),
    ],
    ids=["403", "a day", "soon", "error", "no status", "garbage"],
)
def test_handlers_can_be_started_again_after_any_answer(
    cluster: Cluster, handlers: Handlers, recorder: Recorder, clock: Clock, answer: Answer
) -> None:
    """kopf ends, or is ended where it would wait for a minute or a day."""
    cluster.watches = [answer]
    handlers.start()
    assert cluster.watched.get(timeout=30)
    clock.now += 2.0

    assert recorder.ended.get(timeout=30)
    assert handlers.failing is not None
    assert handlers.failing.startswith(f"{PATH}: kopf ")
    handlers.start()
    assert "a" == recorder.seen.get(timeout=30)


def test_a_resource_missing_from_discovery_ends_kopf(
    cluster: Cluster, handlers: Handlers, recorder: Recorder, clock: Clock
) -> None:
    """A list may work before discovery has the resource. kopf then watches nothing and reports nothing."""
    cluster.discovery[GROUP] = resources("oompolicy.dev/v1alpha1")
    handlers.start()
    assert cluster.discovered.get(timeout=30)
    clock.now += 2.0

    assert recorder.ended.get(timeout=30)
    assert f"{PATH}: kopf could not watch for 1 s: {PATH}: not watched yet" == handlers.failing
    cluster.discovery = dict(DISCOVERY)
    handlers.start()
    assert "a" == recorder.seen.get(timeout=30)


def test_a_refused_token_ends_kopf(cluster: Cluster, server: Server, handlers: Handlers, recorder: Recorder) -> None:
    """Without another token, kopf must not retry the same token without a pause."""
    cluster.watches = [json_of(status(401, "Unauthorized", "no"), 401)] * 1000
    handlers.start()

    assert recorder.ended.get(timeout=30)
    assert cluster.watched.qsize() < 5
    assert handlers.failing is not None
    assert "LoginError" in handlers.failing
    assert all("Bearer token" == asked.headers["Authorization"] for asked in server.asked)


def test_failing_is_the_last_answer_while_kopf_retries(cluster: Cluster, server: Server, recorder: Recorder) -> None:
    """While kopf retries, `failing` is the answer to its last request. `stop` ends the retries."""
    cluster.watches = [json_of(status(403, "Forbidden", "no"), 403)] * 1000
    handlers = Handlers(lambda: server.configuration("token"), recorder.see, recorder.end)
    handlers.start()
    for _ in range(2):
        assert cluster.watched.get(timeout=30)

    assert f"{PATH}: 403 Forbidden" == handlers.failing
    handlers.stop(10)
    assert recorder.ended.empty()


def test_settings_are_watched_in_the_same_way(
    cluster: Cluster, server: Server, recorder: Recorder, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each collection has its own kopf, and the log names the collection that is not watched."""
    path = f"{GROUP}/oomsettings"
    cluster.discovery[GROUP] = resources("oompolicy.dev/v1alpha1", oomsettings="OOMSettings")
    cluster.discovery[path] = {"metadata": {"resourceVersion": "1"}, "items": [raw_settings()]}
    handlers = Handlers(
        lambda: server.configuration("token"),
        recorder.see,
        recorder.end,
        collection=OF_SETTINGS,
        patience=1.0,
        clock=clock,
        uniform=lambda *_: 0.01,
    )
    handlers.start()
    assert "cluster" == recorder.seen.get(timeout=30)
    clock.now += 2.0
    cluster.discovery[path] = {}
    assert recorder.ended.get(timeout=30)
    handlers.stop(10)

    assert handlers.failing is not None
    assert handlers.failing.startswith(f"{path}: kopf ")
    assert "OOMSettings are not watched: kopf " in caplog.text


def test_stopped_handlers_end_at_once_without_a_call(handlers: Handlers, recorder: Recorder) -> None:
    """`stop` may also be called before `start`. `on_end` is not called after it."""
    handlers.stop(1)
    handlers.start()
    handlers.stop(10)

    assert recorder.ended.empty()
