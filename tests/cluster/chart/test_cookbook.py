# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/cookbook.md, docs/software.md and docs/troubleshooting.md, run unchanged and in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.chart.pages import blocks
from tests.cluster.chart.release import WELL, agent_says, operator_says_applied
from tests.cluster.cleanup import AT_ONCE, finish
from tests.cluster.objects import collection

if TYPE_CHECKING:
    from tests.cluster.chart.pages import Admin
    from tests.cluster.cluster import Cluster

JANE = ["yes", "no", "Jane writes no policy", "no", "and labels no namespace"]


def loader_capabilities(cluster: Cluster) -> list[str]:
    (agents,) = [
        each
        for each in cluster.api.list("DaemonSet", "oompolicy-system")
        if each["metadata"]["name"] == "oompolicy-agent"
    ]
    spec = agents["spec"]["template"]["spec"]
    (loader,) = [each for each in spec["initContainers"] if each["name"] == "loader"]
    return [*loader["securityContext"]["capabilities"]["add"], *spec["nodeSelector"]]


def aggregate(cluster: Cluster, name: str) -> None:
    """Set the rules of a ClusterRole to the sum of others, as the controller manager does."""
    label = f"rbac.authorization.k8s.io/aggregate-to-{name}"
    roles = cluster.api.list("ClusterRole")
    rules = [rule for role in roles if label in role["metadata"].get("labels", {}) for rule in role["rules"]]
    cluster.api.patch("ClusterRole", name, {"rules": rules})


def test_the_commands_of_cookbook_and_troubleshooting_work(
    admin: Admin, nodes: tuple[str, ...], chart_cluster: Cluster
) -> None:
    """The recipes lead from auditing to vital pods. The questions of the troubleshooting page come after them."""
    aggregate(chart_cluster, "view")
    aggregate(chart_cluster, "edit")
    printed: dict[str, str] = {}
    places: list[list[str]] = []
    for block in blocks("cookbook.md", "software.md", "troubleshooting.md"):
        if "helm test" in block:
            for node in nodes:
                agent_says(chart_cluster.api, node, **WELL)
        if "kubectl wait ooms/cluster" in block:
            operator_says_applied(chart_cluster.api)
        printed[block] = admin(block)
        if "helm install" in block or "helm upgrade" in block:
            places.append(loader_capabilities(chart_cluster))
    everything = "".join(printed.values())
    try:
        assert 2 == len(places)
        assert all("SYS_MODULE" in each for each in places)
        settings = chart_cluster.api.get("OOMSettings", "cluster")["spec"]
        expected = {"mode": "Enforce", "nodeModes": [], "suspend": True, "hostPriority": 900}
        assert expected.items() <= settings.items()
        assert "Phase:          Succeeded" in everything
        assert "OOMPolicy oompolicy (precedence 1000000): value 1000" in everything
        assert JANE == [line for line in everything.splitlines() if line in JANE]
    finally:
        admin("helm uninstall oompolicy --namespace oompolicy-system && kubectl delete oompolicies,oomsettings --all")
        chart_cluster.api.connection.request("DELETE", collection("Pod", "blue"), query=AT_ONCE)
        finish(chart_cluster.api, "blue")
