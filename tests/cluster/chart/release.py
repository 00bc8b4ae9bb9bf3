# SPDX-License-Identifier: Apache-2.0
"""One release of the chart in a cluster of two nodes, and the conditions that its agents would write."""

from __future__ import annotations

from functools import partial
from operator import eq
from typing import TYPE_CHECKING, Any, ClassVar

from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError
from tests.cluster.chart.controllers import already_gone
from tests.cluster.chart.helm import CHART
from tests.cluster.objects import collection, location
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.chart.controllers import Controllers
    from tests.cluster.chart.helm import Helm
    from tests.cluster.cluster import Cluster

SINCE = "2026-11-25T12:00:00Z"
WELL = {"Ready": ("True", ""), "Enforcing": ("True", "")}


class Release:
    """A release in another namespace than that of `deploy/`, so that a wrong namespace in the chart fails a test."""

    NAMESPACE: ClassVar = "guard"
    NAME: ClassVar = "guard-release"
    NODES: ClassVar = ("node-a", "node-b")

    def __init__(self, helm: Helm, cluster: Cluster, controllers: Controllers) -> None:
        self.helm, self.cluster, self.controllers = helm, cluster, controllers
        self.admin = ("--kubeconfig", str(cluster.admin))

    def install(self) -> None:
        for node in self.NODES:
            self.cluster.api.node(node)
        self("install", self.NAME, str(CHART), "--create-namespace", "--set", "test.deadlineSeconds=2")
        # The API server takes a moment to serve a kind that Helm has just defined.
        eventually(self._served, bool)
        # Helm does not wait for pods. A pod that starts during a test would appear in the journal of this test.
        pods = {f"oompolicy-{program}-{node}" for program in ("agent", "adjuster") for node in self.NODES}
        eventually(self._running, partial(eq, pods))

    def _running(self) -> set[str]:
        pods = self.cluster.api.list("Pod", self.NAMESPACE)
        return {each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"}

    def _served(self) -> bool:
        try:
            self.cluster.api.list("OOMNode")
        except ApiError as error:
            if error.status != 429:
                raise
            return False
        return True

    def __call__(self, *words: str) -> str:
        """Run helm in the release's namespace."""
        return self.helm(*words, "--namespace", self.NAMESPACE, *self.admin)

    def uninstall(self, *words: str) -> str:
        return self("uninstall", self.NAME, *words)

    def remove(self) -> None:
        """Remove the release, the objects that Helm leaves, and the nodes."""
        self.controllers.stuck.clear()
        self.uninstall("--no-hooks", "--ignore-not-found")
        # A failed uninstall leaves these. The pods of a DaemonSet are deleted with it.
        for kind in ("Job", "DaemonSet"):
            self.cluster.api.connection.request("DELETE", collection(kind, self.NAMESPACE))
        for pod in ("oompolicy-preflight", "oompolicy-test"):
            with already_gone():
                self.cluster.api.delete("Pod", pod, self.NAMESPACE)
        # Helm keeps OOMSettings.
        for kind in ("OOMNode", "OOMSettings", "Node"):
            self.cluster.api.connection.request("DELETE", collection(kind))
        eventually(lambda: self.cluster.api.list("Pod", self.NAMESPACE), lambda left: not left)
        self.controllers.journal.clear()

    def says(self, node: str, **conditions: tuple[str, str]) -> None:
        """Call `agent_says` for this cluster."""
        agent_says(self.cluster.api, node, **conditions)


def agent_says(api: Api, node: str, **conditions: tuple[str, str]) -> None:
    """Write conditions as the agent of `node` does. A keyword is the type, and has status and message."""
    written = [
        {"type": kind, "status": status, "reason": "Because", "message": message, "lastTransitionTime": SINCE}
        for kind, (status, message) in conditions.items()
    ]
    head: dict[str, Any] = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}}
    try:
        api.create(head)
    except ApiError as error:
        if error.status != 409:
            raise
    body = {**head, "status": {"conditions": written}}
    path = location("OOMNode", node)
    apply(api.connection, path, body, manager="oompolicy-agent", subresource="status", force=True)


def operator_says_applied(api: Api) -> None:
    """Write the status of OOMSettings as the operator does when each agent has reported the mode of its last change."""
    settings = api.get("OOMSettings", "cluster")
    applied = {
        "type": "Applied",
        "status": "True",
        "reason": "AllNodes",
        "message": "",
        "lastTransitionTime": SINCE,
    }
    head = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": {"name": "cluster"}}
    status = {"observedGeneration": settings["metadata"]["generation"], "conditions": [applied]}
    path = location("OOMSettings", "cluster")
    apply(
        api.connection, path, {**head, "status": status}, manager="oompolicy-operator", subresource="status", force=True
    )
