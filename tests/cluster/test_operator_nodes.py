# SPDX-License-Identifier: Apache-2.0
"""Each Node has an OOMNode, and what the OOMNodes say is counted."""

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
    """The uid of each OOMNode's owner."""
    return {each["metadata"]["name"]: each["metadata"]["ownerReferences"][0]["uid"] for each in api.list("OOMNode")}


def say(api: Api, node: str, applied: str, backend: str = "EvaluateTask") -> None:
    """As the node's agent does."""
    said: dict[str, Any] = {"status": {"mode": "Enforce", "backend": backend, "policyHash": applied}}
    api.patch("OOMNode", node, said, subresource="/status")


def current(api: Api) -> str:
    """The hash of all policies, as an agent would compute it."""
    return policy_hash(parse_policy(raw) for raw in api.list("OOMPolicy"))


@pytest.mark.usefixtures("operator")
def test_each_node_has_an_oomnode_that_it_owns(api: Api) -> None:
    """So that the garbage collector takes it away with the Node."""
    uids = {name: api.node(name)["metadata"]["uid"] for name in ("n1", "n2")}

    eventually(lambda: owners(api), lambda found: found == uids)
    (reference,) = api.get("OOMNode", "n1")["metadata"]["ownerReferences"]
    assert {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uids["n1"]} == reference


@pytest.mark.usefixtures("operator")
def test_a_node_that_comes_back_gets_an_oomnode_of_its_own(api: Api) -> None:
    """When the former's is collected: nobody does that here but the test."""
    api.node("n1")
    eventually(lambda: owners(api), bool)
    api.delete("Node", "n1")
    uid = api.node("n1")["metadata"]["uid"]
    api.delete("OOMNode", "n1")

    eventually(lambda: owners(api), lambda found: found == {"n1": uid})


def test_a_policy_counts_the_nodes_that_apply_it_as_it_is(api: Api, operator: Operator) -> None:
    """By the hash they give of all that they apply; the status follows."""
    for name in ("n1", "n2", "n3"):
        api.node(name)
    eventually(lambda: len(api.list("OOMNode")), lambda number: number == 3)
    api.create(policy("p"))
    eventually(lambda: status(api, "p"), bool)
    only_p = current(api)
    say(api, "n1", only_p)
    say(api, "n2", only_p)
    eventually(lambda: status(api, "p").get("appliedNodes"), lambda number: number == 2)

    def applied() -> tuple[float | None, ...]:
        return tuple(operator.metric("oompolicy_policy_applied_nodes", policy=name) for name in ("p", "q"))

    api.create(policy("q"))
    eventually(applied, lambda found: found == (2, 0))
    assert 0 == operator.metric("oompolicy_nodes_current")
    say(api, "n1", current(api))
    say(api, "n3", current(api))
    eventually(applied, lambda found: found == (3, 2))
    assert 2 == operator.metric("oompolicy_nodes_current")
    api.patch("OOMPolicy", "p", {"spec": {"precedence": 7}})
    eventually(applied, lambda found: found == (0, 2))


def test_nodes_are_counted_by_how_they_enforce(api: Api, operator: Operator) -> None:
    """A Node whose agent has not said anything is unknown."""
    for name in ("n1", "n2", "n3"):
        api.node(name)
    eventually(lambda: len(api.list("OOMNode")), lambda number: number == 3)
    say(api, "n1", "", "EvaluateTask")
    say(api, "n2", "", "ObserveOnly")

    def backends() -> tuple[float | None, ...]:
        names = ("EvaluateTask", "ObserveOnly", "Unknown")
        return tuple(operator.metric("oompolicy_nodes", backend=name) for name in names)

    eventually(backends, lambda found: found == (1, 1, 1))
    say(api, "n1", "", "ObserveOnly")
    eventually(backends, lambda found: found == (0, 2, 1))
