# SPDX-License-Identifier: Apache-2.0
"""What operator and agents know of the cluster stays true, whatever the API server does."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.connection import connect
from oompolicy.kube.errors import ApiError
from oompolicy.kube.following import PAGE
from oompolicy.kube.informer import Informer
from tests.cluster.deployment import NAMESPACE
from tests.cluster.objects import collection
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.deployment import Deployment

PODS = collection("Pod")


class Known:
    """All objects by name, as an informer tells them. `holding_up()` makes it wait with the next thing it tells."""

    def __init__(self) -> None:
        self.lists = 0
        self._objects: dict[str, dict[str, Any]] = {}
        self._gate = threading.Lock()
        self._arrived = threading.Event()

    def replaced(self, objects: dict[str, dict[str, Any]]) -> None:
        self._enter()
        self.lists += 1
        self._objects = objects

    def changed(self, uid: str, obj: dict[str, Any]) -> None:
        self._enter()
        self._objects[uid] = obj

    def deleted(self, uid: str) -> None:
        self._enter()
        self._objects.pop(uid, None)

    def _enter(self) -> None:
        self._arrived.set()
        with self._gate:
            pass

    @contextmanager
    def holding_up(self, cause: Callable[[], object]) -> Iterator[None]:
        """Let `cause` make something to be told, and read nothing further while the block lasts."""
        with self._gate:
            self._arrived.clear()
            cause()
            assert self._arrived.wait(30)
            yield

    def __call__(self) -> dict[str, dict[str, Any]]:
        return {obj["metadata"]["name"]: obj for obj in list(self._objects.values())}


@contextmanager
def following(
    cluster: Cluster,
    path: str,
    *,
    kubeconfig: Path | None = None,
    **words: Any,  # noqa: ANN401 - the informer's own
) -> Iterator[Known]:
    known = Known()
    informer = Informer(connect(kubeconfig or cluster.admin), path, keep=dict, handler=known, **words)
    informer.start()
    try:
        eventually(lambda: informer.synced, bool)
        yield known
    finally:
        informer.stop()
        informer.join(10)


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "pages"}}


def until(known: Known, *names: str) -> None:
    eventually(known, lambda seen: set(names) == set(seen))


def test_a_collection_is_followed(cluster: Cluster, api: Api) -> None:
    """What is there, what comes, what changes and what goes."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        assert {"a"} == set(known())
        api.pod("default", "b")
        until(known, "a", "b")
        api.patch("Pod", "b", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
        eventually(known, lambda seen: seen["b"]["metadata"].get("labels") == {"app": "db"})
        api.delete("Pod", "a", "default")
        until(known, "b")
        assert 1 == known.lists


def test_only_the_pods_of_a_node_are_told(cluster: Cluster, api: Api) -> None:
    """By the selector that the API server has an index for."""
    api.node("n1")
    api.pod("default", "here", node="n1")
    api.pod("default", "there", node="n2")
    with following(cluster, PODS, field_selector="spec.nodeName=n1") as known:
        api.pod("default", "there-too", node="n2")
        api.pod("default", "here-too", node="n1")
        until(known, "here", "here-too")


def test_metadata_can_be_had_alone(cluster: Cluster, api: Api) -> None:
    """From a list as from events."""
    api.pod("default", "a", labels={"app": "db"})
    with following(cluster, PODS, metadata_only=True) as known:
        api.pod("default", "b")
        until(known, "a", "b")
        assert [{"app": "db"}, None] == [known()[name]["metadata"].get("labels") for name in ("a", "b")]
        assert [False, False] == ["spec" in each or "status" in each for each in known().values()]


def test_a_restart_of_the_api_server_loses_nothing(cluster: Cluster, api: Api) -> None:
    """The watch goes on, or begins anew; in either case what changed meanwhile is known."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        cluster.restart_api()
        api.delete("Pod", "a", "default")
        api.pod("default", "b")
        until(known, "b")


def test_an_expired_watch_begins_anew(cluster: Cluster, api: Api) -> None:
    """No event says that `a` is gone: the API server has forgotten that it ever was."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        with known.holding_up(lambda: api.pod("default", "b")):
            # Or what is deleted next would still be told, from the informer's socket.
            cluster.restart_api()
            api.delete("Pod", "a", "default")
            cluster.expire_watches()
        until(known, "b")
        assert 2 == known.lists


def test_without_watch_lists_it_reads_pages(cluster: Cluster, api: Api) -> None:
    """As of a server before 1.34, a page and one object more; then it watches."""
    api.namespace("pages")
    for number in range(PAGE + 1):
        api.create(config_map(f"c{number}"))
    with (
        cluster.api_with("--feature-gates=WatchList=false"),
        following(cluster, collection("ConfigMap", "pages")) as known,
    ):
        assert PAGE + 1 == len(known())
        api.create(config_map("late"))
        api.delete("ConfigMap", "c0", "pages")
        eventually(known, lambda seen: "late" in seen and "c0" not in seen)
        assert 1 == known.lists


def test_a_token_that_ended_is_read_anew(deployment: Deployment, cluster: Cluster, tmp_path: Path) -> None:
    """By then the kubelet has put another one in its place."""
    cluster.api.node("n1")
    first, kubeconfig = deployment.agent_kubeconfig("n1"), tmp_path / "kubeconfig"
    (pod,) = cluster.api.list("Pod", NAMESPACE)
    kubeconfig.write_bytes(first.read_bytes())
    with following(cluster, collection("OOMPolicy"), kubeconfig=kubeconfig) as known:
        kubeconfig.write_bytes(deployment.agent_kubeconfig("n1").read_bytes())
        cluster.api.delete("Pod", pod["metadata"]["name"], NAMESPACE)
        cluster.restart_api()
        cluster.api.create(raw_policy({"priority": {"value": 1}}, "p1"))
        until(known, "p1")

    with pytest.raises(ApiError) as refused:
        cluster.api_as(first).list("OOMPolicy")
    assert 401 == refused.value.status
