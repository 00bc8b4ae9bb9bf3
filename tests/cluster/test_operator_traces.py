# SPDX-License-Identifier: Apache-2.0
"""The operator writes the status of policies, and changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from tests.cluster.test_operator_policies import labelled, policy, status, wait_for_matches
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl
    from tests.cluster.operators import Operator


def managers(obj: dict[str, Any]) -> set[str]:
    return {entry["manager"] for entry in obj["metadata"].get("managedFields", ())}


def test_the_operator_writes_nothing_to_pods_namespaces_and_nodes(api: Api, operator: Operator) -> None:
    """The resource versions of pods, namespaces and nodes stay the same."""
    kinds = ("Pod", "Namespace", "Node")
    api.node("n1")
    api.namespace("shop", {"team": "a"})
    api.pod("shop", "a", labels={"app": "db"}, node="n1")
    before = {kind: versions(api, kind) for kind in kinds}
    api.create(policy("one", labelled(app="db")))
    api.create(policy("two", {"namespaceSelector": {"matchLabels": {"team": "a"}}}))
    wait_for_matches(api, "one", 1)
    wait_for_matches(api, "two", 1)
    eventually(lambda: api.list("OOMNode"), bool)
    operator.terminate()

    assert before == {kind: versions(api, kind) for kind in kinds}


def versions(api: Api, kind: str) -> dict[str, str]:
    return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in api.list(kind)}


@pytest.mark.usefixtures("operator")
def test_the_operator_writes_only_the_status_of_a_policy(api: Api) -> None:
    """The status has one manager, and the policy gets neither finalizers nor annotations."""
    created = api.create(policy("p", labelled(app="db")))
    wait_for_matches(api, "p", 0)
    found = api.get("OOMPolicy", "p")

    assert not found["metadata"].keys() & {"finalizers", "annotations"}
    assert created["spec"] == found["spec"]
    (written,) = [entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "oompolicy-operator"]
    assert ("Apply", "status") == (written["operation"], written["subresource"])
    assert {"oompolicy-operator"} == managers(found) - managers(created)


def test_the_operator_writes_nothing_after_its_own_write(api: Api, operator: Operator) -> None:
    """The event of the operator's own write does not lead to another write."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("p", labelled(app="db")))
    wait_for_matches(api, "p", 1)
    before = api.get("OOMPolicy", "p")["metadata"]["resourceVersion"]
    # The event of another pod passes through the same queue, after the event of the operator's own write.
    api.pod("default", "b")
    eventually(lambda: operator.metric("oompolicy_pods"), lambda pods: pods == 2)

    assert before == api.get("OOMPolicy", "p")["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("operator")
def test_the_operator_corrects_a_status_of_another_writer(api: Api) -> None:
    """The operator writes its own status again after another client has changed it."""
    api.create(policy("p"))
    right = eventually(lambda: status(api, "p"), bool)
    wrong = {"status": {"matchedPods": 77, "conditions": [{**right["conditions"][0], "status": "Unknown"}]}}
    api.patch("OOMPolicy", "p", wrong, subresource="/status")

    def without_times(found: dict[str, Any]) -> object:
        conditions = [{**each, "lastTransitionTime": ""} for each in found["conditions"]]
        return {**found, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}

    eventually(lambda: without_times(status(api, "p")), lambda found: found == without_times(right))


def test_a_policy_can_be_deleted_while_no_operator_runs(api: Api, operator: Operator, kubectl: Kubectl) -> None:
    """The deletion does not wait for an operator."""
    api.create(policy("p"))
    eventually(lambda: status(api, "p"), bool)
    operator.kill()
    kubectl("delete", "oomp", "p", "--timeout=10s")

    with pytest.raises(ApiError, match="404"):
        api.get("OOMPolicy", "p")
