# SPDX-License-Identifier: Apache-2.0
"""Objects with odd content neither make the operator big nor stop its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import objects
from tests.cluster.deep import create_deep
from tests.cluster.test_operator_policies import condition, labelled, policy, status, wait_for_matches
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.conftest import Newer
    from tests.cluster.operators import Operator

GROWTH_MIB = 16
"""The largest growth in MiB. A cache of shapes grew by 2 MiB with each of the 12 updates."""


def resident_mib(operator: Operator) -> int:
    lines = Path(f"/proc/{operator.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


def many_labels(number: int) -> dict[str, str]:
    return {f"example.com/{'l' * 40}-{number}-{each}": "x" * 60 for each in range(9_000)}


def test_a_pod_with_changing_labels_costs_no_memory(api: Api, operator: Operator) -> None:
    """The pod gets 9,000 other labels each time. Its policies still match it, also a policy that is created later."""
    api.create(policy("first", labelled(app="db")))
    pod = api.pod("default", "a", labels={**many_labels(0), "app": "db", "tier": "prod"})
    wait_for_matches(api, "first", 1)
    before = resident_mib(operator)
    for number in range(1, 13):
        pod["metadata"]["labels"] = {**many_labels(number), "app": "db", "tier": "prod"}
        pod = replace(api, pod)
    api.create(policy("later", labelled(tier="prod")))
    wait_for_matches(api, "later", 1)

    print(f"{before} MiB before, {resident_mib(operator)} MiB after")
    assert resident_mib(operator) - before < GROWTH_MIB
    assert 1 == operator.metric("oompolicy_pod_shapes")


def replace(api: Api, pod: dict[str, Any]) -> dict[str, Any]:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    return api.connection.request("PUT", path, body=pod)


def test_a_newer_definition_is_reported_in_the_status_of_each_policy(
    api: Api, operator: Operator, newer_definition: Newer
) -> None:
    """The status changes although a default of the definition changes no generation."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("databases", labelled(app="db")))
    wait_for_matches(api, "databases", 1)
    newer_definition()
    ready = eventually(
        lambda: condition(status(api, "databases"), "Ready"), lambda ready: ready.get("reason") == "UnknownFields"
    )

    assert "True" == ready["status"]
    assert "spec.newField" in ready["message"]
    assert 1 == operator.metric("oompolicy_policies", ready="true")


def test_a_pod_of_thousands_of_levels_is_counted(
    cluster: Cluster, api: Api, start_operator: Callable[..., Operator]
) -> None:
    """Any user may create it. The operator counts it and all others, from a list and from a watch."""
    create_deep(cluster, objects.pod("default", "listed", labels={"app": "db"}))
    start_operator("operator").until_leading()
    api.create(policy("first", labelled(app="db")))
    wait_for_matches(api, "first", 1)
    create_deep(cluster, objects.pod("default", "watched", labels={"app": "db"}))
    api.pod("default", "plain", labels={"app": "db"})

    wait_for_matches(api, "first", 3)
