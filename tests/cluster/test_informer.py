# SPDX-License-Identifier: Apache-2.0
"""The informers of operator and agents miss no change of the cluster, even if the API server stops."""

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


class Handler:
    """The handler of an informer, which keeps all objects. Within `blocked()`, the informer waits for the handler."""

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
    def blocked(self, cause: Callable[[], object]) -> Iterator[None]:
        """Wait until `cause` has led to a call of the handler, and let that call last as long as the block."""
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
    **options: Any,  # noqa: ANN401 - the informer's own
) -> Iterator[Handler]:
    known = Handler()
    informer = Informer(connect(kubeconfig or cluster.admin), path, keep=dict, handler=known, **options)
    informer.start()
    try:
        eventually(lambda: informer.synced, bool)
        yield known
    finally:
        informer.stop()
        informer.join(10)


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "pages"}}


def wait_for_names(known: Handler, *names: str) -> None:
    eventually(known, lambda seen: set(names) == set(seen))


def test_an_informer_follows_a_collection(cluster: Cluster, api: Api) -> None:
    """The handler gets the objects of the first list, and each object that is created, changed or deleted later."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        assert {"a"} == set(known())
        api.pod("default", "b")
        wait_for_names(known, "a", "b")
        api.patch("Pod", "b", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
        eventually(known, lambda seen: seen["b"]["metadata"].get("labels") == {"app": "db"})
        api.delete("Pod", "a", "default")
        wait_for_names(known, "b")
        assert 1 == known.lists


def test_a_field_selector_limits_an_informer_to_the_pods_of_one_node(cluster: Cluster, api: Api) -> None:
    """The selector is the one that the API server has an index for."""
    api.node("n1")
    api.pod("default", "here", node="n1")
    api.pod("default", "there", node="n2")
    with following(cluster, PODS, field_selector="spec.nodeName=n1") as known:
        api.pod("default", "there-too", node="n2")
        api.pod("default", "here-too", node="n1")
        wait_for_names(known, "here", "here-too")


def test_an_informer_can_follow_only_metadata(cluster: Cluster, api: Api) -> None:
    """The objects of the list and of the events have neither spec nor status."""
    api.pod("default", "a", labels={"app": "db"})
    with following(cluster, PODS, metadata_only=True) as known:
        api.pod("default", "b")
        wait_for_names(known, "a", "b")
        assert [{"app": "db"}, None] == [known()[name]["metadata"].get("labels") for name in ("a", "b")]
        assert [False, False] == ["spec" in each or "status" in each for each in known().values()]


def test_a_restart_of_the_api_server_loses_no_change(cluster: Cluster, api: Api) -> None:
    """The watch continues or begins again, and in both cases the handler gets the changes since the restart."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        cluster.restart_api()
        api.delete("Pod", "a", "default")
        api.pod("default", "b")
        wait_for_names(known, "b")


def test_an_expired_watch_begins_again_with_a_list(cluster: Cluster, api: Api) -> None:
    """No event reports that `a` is deleted, because the API server has forgotten `a`. The new list is without it."""
    api.pod("default", "a")
    with following(cluster, PODS) as known:
        with known.blocked(lambda: api.pod("default", "b")):
            # Without a restart, the informer's socket would still have the event of the deletion.
            cluster.restart_api()
            api.delete("Pod", "a", "default")
            cluster.expire_watches()
        wait_for_names(known, "b")
        assert 2 == known.lists


def test_an_informer_reads_pages_if_the_api_server_has_no_watch_lists(cluster: Cluster, api: Api) -> None:
    """A list of one page and one object more from a server before 1.34 is complete, and then the informer watches."""
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


def test_an_informer_reads_a_token_that_was_replaced(deployment: Deployment, cluster: Cluster, tmp_path: Path) -> None:
    """The kubelet has replaced the token in the file, and the informer continues after the old token ends."""
    cluster.api.node("n1")
    first, kubeconfig = deployment.agent_kubeconfig("n1"), tmp_path / "kubeconfig"
    (pod,) = cluster.api.list("Pod", NAMESPACE)
    kubeconfig.write_bytes(first.read_bytes())
    with following(cluster, collection("OOMPolicy"), kubeconfig=kubeconfig) as known:
        kubeconfig.write_bytes(deployment.agent_kubeconfig("n1").read_bytes())
        cluster.api.delete("Pod", pod["metadata"]["name"], NAMESPACE)
        cluster.restart_api()
        cluster.api.create(raw_policy({"priority": {"value": 1}}, "p1"))
        wait_for_names(known, "p1")

    with pytest.raises(ApiError) as refused:
        cluster.api_as(first).list("OOMPolicy")
    assert 401 == refused.value.status
