# SPDX-License-Identifier: Apache-2.0
"""Apply `deploy/`, and write kubeconfigs for its service accounts."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Any

from oompolicy.kube.errors import ApiError
from tests.cluster.waiting import eventually
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

DEPLOY = CHECKOUT / "deploy"
NAMESPACE = "oompolicy-system"
# The file is for API servers before 1.36: with it, an agent could read every pod.
LEFT_OUT = {"agent-pods.yaml"}


class Deployment:
    """The objects that an admin applies before the first operator or agent starts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def apply(self) -> None:
        """Apply the manifests, and return when the admission policies are in force."""
        self._cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / "namespace.yaml"))
        files = sorted(file for file in DEPLOY.glob("*.yaml") if file.name not in LEFT_OUT)
        self._cluster.kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))
        unbound = self._cluster.api_as(self._cluster.kubeconfig(NAMESPACE, "oompolicy-agent"))
        eventually(lambda: refusal(unbound), lambda message: "the agent's token has no node name" in message)

    def operator_kubeconfig(self) -> Path:
        """Return a kubeconfig of the operator's service account."""
        return self._cluster.kubeconfig(NAMESPACE, "oompolicy-operator")

    def agent_kubeconfig(self, node: str) -> Path:
        """Return a kubeconfig of an agent's pod on a node, with a token that names the node. The Node must exist.

        Each call makes another pod and token, as a restart of the DaemonSet's pod does.
        """
        fields = {"node": node, "service_account": "oompolicy-agent"}
        pod = self._cluster.api.pod(NAMESPACE, f"oompolicy-agent-{token_hex(4)}", **fields)
        return self._cluster.kubeconfig(NAMESPACE, "oompolicy-agent", pod)


def refusal(api: Api) -> str:
    """Return the message that refuses an agent's Event to this user, or "" if it is allowed. Write nothing."""
    event: dict[str, Any] = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "default", "name": "may-i"},
        "eventTime": "2026-11-25T12:00:00.000000Z",
        "type": "Warning",
        "reason": "OOMVictimKilled",
        "action": "Kill",
        "reportingController": "oompolicy.dev/agent",
        "reportingInstance": "nowhere",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "may-i"},
    }
    try:
        api.create(event, dryRun="All")
    except ApiError as error:
        return error.message
    return ""
