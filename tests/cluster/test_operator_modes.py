# SPDX-License-Identifier: Apache-2.0
"""The operator writes the mode of each selected node within a second, and shows where the settings are in effect."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.connection import apply
from tests.cluster.definition import settings_are_served
from tests.cluster.objects import location
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.operators import Operator

SECOND = 1.0
CANARY = {"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}


def label(api: Api, node: str, **labels: str | None) -> None:
    api.patch("Node", node, {"metadata": {"labels": labels}})


def mode(api: Api, node: str) -> str | None:
    """Return spec.mode of the OOMNode."""
    found: str | None = api.get("OOMNode", node).get("spec", {}).get("mode")
    return found


def within_a_second(api: Api, node: str, wanted: str | None) -> None:
    """Wait for a mode, and check the time since the call."""
    begun = time.monotonic()
    eventually(partial(mode, api, node), lambda found: found == wanted)
    assert time.monotonic() - begun < SECOND


def condition(api: Api, kind: str) -> tuple[str, str, str]:
    conditions = api.get("OOMSettings", "cluster").get("status", {}).get("conditions", ())
    found = {each["type"]: (each["status"], each["reason"], each["message"]) for each in conditions}
    return found.get(kind, ("", "", ""))


def patch_mode(api: Api, node: str, value: str | None) -> None:
    """Write spec.mode as `kubectl patch` does."""
    api.connection.request(
        "PATCH",
        location("OOMNode", node),
        query={"fieldManager": "kubectl-patch"},
        body={"spec": {"mode": value}},
        content_type="application/merge-patch+json",
    )


def reports(api: Api, node: str, reported: str) -> None:
    """Write the status as the agent of the node does."""
    body: dict[str, Any] = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}}
    body["status"] = {"mode": reported, "backend": "EvaluateTask"}
    path = location("OOMNode", node)
    apply(api.connection, path, body, manager="oompolicy-agent", subresource="status", force=True)


@pytest.fixture
def nodes(api: Api, operator: Operator) -> tuple[str, ...]:  # noqa: ARG001 - creates the OOMNodes
    names = ("n1", "n2")
    for name in names:
        api.node(name)
    eventually(lambda: len(api.list("OOMNode")), lambda number: number == len(names))
    return names


@pytest.mark.usefixtures("nodes")
def test_a_node_gets_the_mode_of_its_labels(api: Api) -> None:
    """After a change of the labels or of the settings, the OOMNode has the new mode within a second."""
    label(api, "n1", pool="canary")
    api.create(raw_settings({"mode": "Audit", "nodeModes": [CANARY]}))
    within_a_second(api, "n1", "Enforce")
    assert mode(api, "n2") is None

    label(api, "n2", pool="canary")
    within_a_second(api, "n2", "Enforce")
    label(api, "n1", pool=None)
    within_a_second(api, "n1", None)
    api.patch("OOMSettings", "cluster", {"spec": {"nodeModes": [{"nodeSelector": {}, "mode": "Off"}, CANARY]}})
    within_a_second(api, "n1", "Off")
    within_a_second(api, "n2", "Off")
    eventually(lambda: condition(api, "UnusedNodeModes")[:2], lambda found: found == ("True", "NeverApplies"))
    api.patch("OOMSettings", "cluster", {"spec": {"nodeModes": []}})
    within_a_second(api, "n1", None)
    within_a_second(api, "n2", None)


@pytest.mark.usefixtures("nodes")
def test_a_mode_that_a_user_has_written_stays(api: Api, operator: Operator) -> None:
    """The condition names the node and the manager. The node follows the settings again after the field is removed."""
    label(api, "n1", pool="canary")
    api.create(raw_settings({"mode": "Audit", "nodeModes": [CANARY]}))
    within_a_second(api, "n1", "Enforce")
    patch_mode(api, "n1", "Off")
    eventually(lambda: condition(api, "Overridden")[:2], lambda found: found == ("True", "OtherManager"))
    assert "n1 (Off, by kubectl-patch)" in condition(api, "Overridden")[2]
    assert 1 == operator.metric("oompolicy_nodes_mode_overridden")
    api.patch("OOMSettings", "cluster", {"spec": {"nodeModes": [{**CANARY, "mode": "Audit"}]}})
    eventually(lambda: api.get("OOMSettings", "cluster")["status"]["observedGeneration"], lambda seen: seen == 2)

    assert "Off" == mode(api, "n1")
    patch_mode(api, "n1", None)
    within_a_second(api, "n1", "Audit")
    eventually(lambda: condition(api, "Overridden")[:2], lambda found: found == ("False", "NotOverridden"))


def test_the_status_counts_nodes_and_says_when_a_change_is_done(
    api: Api, operator: Operator, nodes: tuple[str, ...]
) -> None:
    """`Applied` is False from the change until each agent reports the wanted mode."""
    for name in nodes:
        reports(api, name, "Enforce")
    api.create(raw_settings({"mode": "Enforce"}))
    eventually(lambda: condition(api, "Applied")[:2], lambda found: found == ("True", "AllNodes"))
    counts = {"Enforce": 2, "Audit": 0, "Off": 0, "Unknown": 0}
    eventually(lambda: api.get("OOMSettings", "cluster")["status"]["nodesByMode"], lambda found: found == counts)

    api.patch("OOMSettings", "cluster", {"spec": {"suspend": True}})
    eventually(lambda: condition(api, "Applied")[:2], lambda found: found == ("False", "Changing"))
    assert (1, 2) == tuple(operator.metric(f"oompolicy_{name}") for name in ("suspended", "nodes_other_mode"))
    for name in nodes:
        reports(api, name, "Off")
    eventually(lambda: condition(api, "Applied")[:2], lambda found: found == ("True", "AllNodes"))
    counts = {"Enforce": 0, "Audit": 0, "Off": 2, "Unknown": 0}
    eventually(lambda: api.get("OOMSettings", "cluster")["status"]["nodesByMode"], lambda found: found == counts)
    assert {"EvaluateTask": 2, "Unknown": 0} == api.get("OOMSettings", "cluster")["status"]["nodesByBackend"]


@pytest.mark.usefixtures("nodes")
def test_a_new_leader_takes_over_the_modes(
    api: Api, operator: Operator, start_operator: Callable[[str], Operator]
) -> None:
    """Changes while no operator runs are applied by the next one, and modes that are right are not written again."""
    label(api, "n1", pool="canary")
    api.create(raw_settings({"mode": "Audit", "nodeModes": [CANARY]}))
    within_a_second(api, "n1", "Enforce")
    version = api.get("OOMNode", "n1")["metadata"]["resourceVersion"]
    operator.terminate()
    label(api, "n2", pool="canary")
    start_operator("next").until_leading()
    eventually(partial(mode, api, "n2"), lambda found: found == "Enforce")

    assert version == api.get("OOMNode", "n1")["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("undefined_settings")
def test_an_operator_works_with_definitions_of_an_earlier_release(
    cluster: Cluster, api: Api, start_operator: Callable[[str], Operator]
) -> None:
    """It becomes ready, and watches the settings within half a minute after they are defined."""
    operator = start_operator("early")
    operator.until_leading()
    assert "OOMSettings is not defined: apply crds/" in operator.log.read_text()
    for name in ("n1", "n2"):
        api.node(name)
        label(api, name, pool="canary")
    cluster.install_crds()
    eventually(lambda: settings_are_served(api), bool)
    api.create(raw_settings({"mode": "Audit", "nodeModes": [CANARY]}))
    eventually(partial(mode, api, "n1"), lambda found: found == "Enforce", deadline=60)
    eventually(lambda: operator.probe("/readyz")[0], lambda status: status == 200)
    api.patch("OOMSettings", "cluster", {"spec": {"nodeModes": []}})

    within_a_second(api, "n1", None)
    within_a_second(api, "n2", None)
