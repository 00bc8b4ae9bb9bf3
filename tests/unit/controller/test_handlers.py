# SPDX-License-Identifier: Apache-2.0
"""kopf's watch is never lost without a word: it says when it is not well, ends, and is begun again."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.controller.handlers import Handlers
from tests.unit.controller.raws import raw_policy
from tests.unit.kube.server import Answer, Asked, Server, serving, status

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
    said = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [said], "preferredVersion": said}


# kopf does not begin without namespaces and definitions, though it watches neither of them here.
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
    """Has no policies, and gives each watch the next of `watches`; a stream where there is none left."""

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


class Heard:
    """What `Handlers` tells, in queues for the test's thread."""

    def __init__(self) -> None:
        self.seen: Queue[str] = Queue()
        self.ended: Queue[bool] = Queue()

    def see(self, _: str | None, raw: Mapping[str, Any]) -> None:
        self.seen.put(raw["metadata"]["name"])

    def end(self) -> None:
        self.ended.put(True)


class Clock:
    """Stands until the test moves it, so that no slow machine exhausts kopf's time."""

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
def server(cluster: Cluster) -> Iterator[Server]:
    with serving(by=cluster.answer) as made:
        yield made


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def handlers(server: Server, heard: Heard, clock: Clock) -> Iterator[Handlers]:
    made = Handlers(
        lambda: server.configuration("token"), heard.see, heard.end, patience=1.0, clock=clock, uniform=lambda *_: 0.01
    )
    yield made
    made.stop(10)


def test_a_watch_that_is_refused_ends_and_can_be_begun_again(
    cluster: Cluster, handlers: Handlers, heard: Heard
) -> None:
    """As when the definition is deleted: 404. Then policies are told as before."""
    cluster.watches = [json_of(status(404, "NotFound", "page not found"), 404)]
    assert "" == handlers.failing
    handlers.start()

    assert heard.ended.get(timeout=30)
    assert f"{PATH}: kopf failed: APINotFoundError" in handlers.failing
    assert "404" in handlers.failing
    handlers.start()
    assert "a" == heard.seen.get(timeout=30)
    assert "" == handlers.failing


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
def test_no_answer_keeps_it_from_being_begun_again(
    cluster: Cluster, handlers: Handlers, heard: Heard, clock: Clock, answer: Answer
) -> None:
    """Whether kopf ends of it, or would wait for a minute or a day."""
    cluster.watches = [answer]
    handlers.start()
    assert cluster.watched.get(timeout=30)
    clock.now += 2.0

    assert heard.ended.get(timeout=30)
    assert handlers.failing.startswith(f"{PATH}: kopf ")
    handlers.start()
    assert "a" == heard.seen.get(timeout=30)


def test_what_is_not_discovered_yet_is_looked_for_again(
    cluster: Cluster, handlers: Handlers, heard: Heard, clock: Clock
) -> None:
    """A list may work before discovery has the resource, and kopf then watches nothing and says nothing."""
    cluster.discovery[GROUP] = resources("oompolicy.dev/v1alpha1")
    handlers.start()
    assert cluster.discovered.get(timeout=30)
    clock.now += 2.0

    assert heard.ended.get(timeout=30)
    assert f"{PATH}: kopf could not watch for 1 s: {PATH}: not watched yet" == handlers.failing
    cluster.discovery = dict(DISCOVERY)
    handlers.start()
    assert "a" == heard.seen.get(timeout=30)


def test_a_refused_token_is_not_tried_again_without_a_pause(
    cluster: Cluster, server: Server, handlers: Handlers, heard: Heard
) -> None:
    """Where there is no other, it ends."""
    cluster.watches = [json_of(status(401, "Unauthorized", "no"), 401)] * 1000
    handlers.start()

    assert heard.ended.get(timeout=30)
    assert cluster.watched.qsize() < 5
    assert "LoginError" in handlers.failing
    assert all("Bearer token" == asked.headers["Authorization"] for asked in server.asked)


def test_it_says_why_while_kopf_still_tries(cluster: Cluster, server: Server, heard: Heard) -> None:
    """By the answer to the last request; and it stops in the middle of that."""
    cluster.watches = [json_of(status(403, "Forbidden", "no"), 403)] * 1000
    handlers = Handlers(lambda: server.configuration("token"), heard.see, heard.end)
    handlers.start()
    for _ in range(2):
        assert cluster.watched.get(timeout=30)

    assert f"{PATH}: 403 Forbidden" == handlers.failing
    handlers.stop(10)
    assert heard.ended.empty()


def test_a_stopped_one_ends_at_once_and_says_nothing(handlers: Handlers, heard: Heard) -> None:
    """Also one that was never started."""
    handlers.stop(1)
    handlers.start()
    handlers.stop(10)

    assert heard.ended.empty()
