# SPDX-License-Identifier: Apache-2.0
"""Each Node has an OOMNode, and the operator counts the nodes by the status of the OOMNodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.parse import parse_policy
from oompolicy.policyhash import policy_hash
from tests.cluster.test_operator_policies import policy, status
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.operators import Operator


def owners(api: Api) -> dict[str, str]:
    """Return the uid of each OOMNode's owner."""
    return {each["metadata"]["name"]: each["metadata"]["ownerReferences"][0]["uid"] for each in api.list("OOMNode")}


def report(api: Api, node: str, applied: str, backend: str = "EvaluateTask") -> None:
    """Write the status of an OOMNode, as the agent of the node does."""
    status: dict[str, Any] = {"status": {"mode": "Enforce", "backend": backend, "policyHash": applied}}
    api.patch("OOMNode", node, status, subresource="/status")


def current(api: Api) -> str:
    """Return the hash of all policies, as an agent computes it."""
    return policy_hash(parse_policy(raw) for raw in api.list("OOMPolicy"))


@pytest.mark.usefixtures("operator")
def test_each_node_has_an_oomnode_that_it_owns(api: Api) -> None:
    """The Node owns the OOMNode, so that the garbage collector deletes it with the Node."""
    uids = {name: api.node(name)["metadata"]["uid"] for name in ("n1", "n2")}

    eventually(lambda: owners(api), lambda found: found == uids)
    (reference,) = api.get("OOMNode", "n1")["metadata"]["ownerReferences"]
    assert {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uids["n1"]} == reference


@pytest.mark.usefixtures("operator")
def test_a_node_that_is_created_again_gets_its_own_oomnode(api: Api) -> None:
    """The new OOMNode is created after the old one is deleted. The test deletes it, as the garbage collector does."""
    api.node("n1")
    eventually(lambda: owners(api), bool)
    api.delete("Node", "n1")
    uid = api.node("n1")["metadata"]["uid"]
    api.delete("OOMNode", "n1")

    eventually(lambda: owners(api), lambda found: found == {"n1": uid})


def test_a_policy_counts_the_nodes_that_apply_its_current_version(api: Api, operator: Operator) -> None:
    """The operator compares the hash of all policies that a node applies. The status of the policy has the count."""
    for name in ("n1", "n2", "n3"):
        api.node(name)
    eventually(lambda: len(api.list("OOMNode")), lambda number: number == 3)
    api.create(policy("p"))
    eventually(lambda: status(api, "p"), bool)
    only_p = current(api)
    report(api, "n1", only_p)
    report(api, "n2", only_p)
    eventually(lambda: status(api, "p").get("appliedNodes"), lambda number: number == 2)

    def applied() -> tuple[float | None, ...]:
        return tuple(operator.metric("oompolicy_policy_applied_nodes", policy=name) for name in ("p", "q"))

    api.create(policy("q"))
    eventually(applied, lambda found: found == (2, 0))
    assert 0 == operator.metric("oompolicy_nodes_current")
    report(api, "n1", current(api))
    report(api, "n3", current(api))
    eventually(applied, lambda found: found == (3, 2))
    assert 2 == operator.metric("oompolicy_nodes_current")
    api.patch("OOMPolicy", "p", {"spec": {"precedence": 7}})
    eventually(applied, lambda found: found == (0, 2))


def test_nodes_are_counted_by_their_backend(api: Api, operator: Operator) -> None:
    """A Node without a report of its agent counts as unknown."""
    for name in ("n1", "n2", "n3"):
        api.node(name)
    eventually(lambda: len(api.list("OOMNode")), lambda number: number == 3)
    report(api, "n1", "", "EvaluateTask")
    report(api, "n2", "", "ObserveOnly")

    def backends() -> tuple[float | None, ...]:
        names = ("EvaluateTask", "ObserveOnly", "Unknown")
        return tuple(operator.metric("oompolicy_nodes", backend=name) for name in names)

    eventually(backends, lambda found: found == (1, 1, 1))
    report(api, "n1", "", "ObserveOnly")
    eventually(backends, lambda found: found == (0, 2, 1))
