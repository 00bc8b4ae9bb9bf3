# SPDX-License-Identifier: Apache-2.0
"""A storm over an operator, an agent and a pod that the storm must not touch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cluster.agent.hostile.pods import CONTAINER_ID, NAMESPACES
from tests.cluster.agent.hostile.storm import Storm
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

SEED: Final = int(os.environ.get("OOMPOLICY_SEED", "1"))
OBJECTS: Final = int(os.environ.get("OOMPOLICY_HOSTILE_OBJECTS", "100"))
CONTROL: Final = "control"
VALUE: Final = 437
# No other name comes before "0", and no precedence is higher.
POLICY: Final = "0"
WITHOUT_LIMITS: Final = {"refusal_burst": 1_000_000, "refusal_rate": 1_000.0, "pod_burst": 1_000_000}


@pytest.fixture
def control(agent: RunningAgent, api: Api) -> str:
    """Create a pod that one policy gives 437, start the agent, and return the cgroup of the pod's container."""
    for name in NAMESPACES:
        api.namespace(name, {"tier": "prod"})
    api.namespace(CONTROL, {"control": "yes"})
    api.create(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    )
    metadata = {"name": "cluster"}
    spec = {"mode": "Enforce"}
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": metadata, "spec": spec})
    api.create(control_policy())
    pod = api.pod(CONTROL, CONTROL, node=agent.node, requests={"memory": "1Mi"})
    api.run(pod, {"app": CONTAINER_ID})
    container = agent.run(pod, CONTAINER_ID)
    agent.start(full_check=1.0, status_every=2.0, event_limits=WITHOUT_LIMITS)
    eventually(lambda: agent.priority(container), lambda found: found == VALUE, deadline=60)
    eventually(lambda: agent.condition("Ready").get("status"), lambda status: status == "True")
    return container


def control_policy() -> dict[str, Any]:
    match = {"namespaceSelector": {"matchLabels": {"control": "yes"}}}
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": POLICY},
        "spec": {"precedence": 1_000_000, "match": match, "priority": {"value": VALUE}},
    }


@pytest.fixture
def storm(cluster: Cluster, agent: RunningAgent, api: Api, control: str) -> Storm:  # noqa: ARG001 - it comes first
    victim = api.get("Pod", CONTROL, CONTROL)["metadata"]["uid"]
    return Storm(cluster, agent, SEED, victim)
