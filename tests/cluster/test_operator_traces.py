# SPDX-License-Identifier: Apache-2.0
"""What the operator writes, and what it must leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from tests.cluster.test_operator_policies import labelled, matches, policy, status
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl
    from tests.cluster.operators import Operator


def managers(obj: dict[str, Any]) -> set[str]:
    return {entry["manager"] for entry in obj["metadata"].get("managedFields", ())}


def test_nothing_is_written_to_pods_namespaces_and_nodes(api: Api, operator: Operator) -> None:
    """Not a byte: their resource versions stay as they were."""
    kinds = ("Pod", "Namespace", "Node")
    api.node("n1")
    api.namespace("shop", {"team": "a"})
    api.pod("shop", "a", labels={"app": "db"}, node="n1")
    before = {kind: versions(api, kind) for kind in kinds}
    api.create(policy("one", labelled(app="db")))
    api.create(policy("two", {"namespaceSelector": {"matchLabels": {"team": "a"}}}))
    matches(api, "one", 1)
    matches(api, "two", 1)
    eventually(lambda: api.list("OOMNode"), bool)
    operator.terminate()

    assert before == {kind: versions(api, kind) for kind in kinds}


def versions(api: Api, kind: str) -> dict[str, str]:
    return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in api.list(kind)}


@pytest.mark.usefixtures("operator")
def test_of_a_policy_only_the_status_is_written(api: Api) -> None:
    """By one manager, and with neither finalizers nor annotations."""
    created = api.create(policy("p", labelled(app="db")))
    matches(api, "p", 0)
    found = api.get("OOMPolicy", "p")

    assert not found["metadata"].keys() & {"finalizers", "annotations"}
    assert created["spec"] == found["spec"]
    (ours,) = [entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "oompolicy-operator"]
    assert ("Apply", "status") == (ours["operation"], ours["subresource"])
    assert {"oompolicy-operator"} == managers(found) - managers(created)


def test_a_settled_cluster_is_not_written_to(api: Api, operator: Operator) -> None:
    """What the operator wrote comes back as an event, and leads to nothing."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("p", labelled(app="db")))
    matches(api, "p", 1)
    before = api.get("OOMPolicy", "p")["metadata"]["resourceVersion"]
    # Another pod's event goes the same way through the operator, later than the one of its own write.
    api.pod("default", "b")
    eventually(lambda: operator.metric("oompolicy_pods"), lambda pods: pods == 2)

    assert before == api.get("OOMPolicy", "p")["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("operator")
def test_a_status_that_somebody_else_wrote_is_put_right(api: Api) -> None:
    """Since it is the operator's to say."""
    api.create(policy("p"))
    right = eventually(lambda: status(api, "p"), bool)
    wrong = {"status": {"matchedPods": 77, "conditions": [{**right["conditions"][0], "status": "Unknown"}]}}
    api.patch("OOMPolicy", "p", wrong, subresource="/status")

    def times_aside(found: dict[str, Any]) -> object:
        conditions = [{**each, "lastTransitionTime": ""} for each in found["conditions"]]
        return {**found, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}

    eventually(lambda: times_aside(status(api, "p")), lambda found: found == times_aside(right))


def test_a_policy_can_be_deleted_when_no_operator_runs(api: Api, operator: Operator, kubectl: Kubectl) -> None:
    """At once: nothing waits for somebody who is not there."""
    api.create(policy("p"))
    eventually(lambda: status(api, "p"), bool)
    operator.kill()
    kubectl("delete", "oomp", "p", "--timeout=10s")

    with pytest.raises(ApiError, match="404"):
        api.get("OOMPolicy", "p")
