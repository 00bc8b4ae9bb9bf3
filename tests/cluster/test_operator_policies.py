# SPDX-License-Identifier: Apache-2.0
"""The status of a policy has the number of pods that it matches."""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl
    from tests.cluster.operators import Operator

pytestmark = pytest.mark.usefixtures("operator")


def policy(name: str, match: Mapping[str, Any] | None = None, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"precedence": 100, "match": dict(match or {}), "priority": {"value": 900}, **spec},
    }


def labelled(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def status(api: Api, name: str) -> dict[str, Any]:
    return dict(api.get("OOMPolicy", name).get("status") or {})


def condition(status: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return next((dict(each) for each in status.get("conditions", ()) if each["type"] == kind), {})


def wait_for_matches(api: Api, name: str, expected: int) -> dict[str, Any]:
    """Wait until the policy matches so many pods, and return its status."""
    return eventually(lambda: status(api, name), lambda found: found.get("matchedPods") == expected)


@pytest.fixture
def lax_definition(api: Api) -> Iterator[None]:
    """Apply a definition without the upper bound of a priority, as of an earlier release."""
    name = "oompolicies.oompolicy.dev"
    strict = api.get("CustomResourceDefinition", name)["spec"]
    lax = copy.deepcopy(strict)
    value = lax["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["priority"]
    del value["properties"]["value"]["maximum"]
    api.patch("CustomResourceDefinition", name, {"spec": lax})
    eventually(lambda: refusal(api, policy("try", priority={"value": 5000})), lambda text: not text)
    yield
    api.delete("OOMPolicy", "p")
    api.patch("CustomResourceDefinition", name, {"spec": strict})
    eventually(lambda: refusal(api, policy("try", priority={"value": 5000})), bool)


def refusal(api: Api, obj: Mapping[str, Any]) -> str:
    """Return the message that refuses the object, or "" if it is valid. Write nothing."""
    try:
        api.create(obj, dryRun="All")
    except ApiError as error:
        return error.message
    return ""


def test_the_status_of_a_policy_has_its_matched_pods(api: Api) -> None:
    """The status has the count and the generation that was applied."""
    for name, app in (("a", "db"), ("b", "db"), ("c", "web")):
        api.pod("default", name, labels={"app": app})
    api.create(policy("databases", labelled(app="db")))
    found = wait_for_matches(api, "databases", 2)

    assert 1 == found["observedGeneration"]
    assert ("True", "Valid") == tuple(condition(found, "Ready")[key] for key in ("status", "reason"))
    assert ("False", "NoOverlap") == tuple(condition(found, "Overlapping")[key] for key in ("status", "reason"))


def test_kubectl_shows_the_status_of_a_policy(api: Api, kubectl: Kubectl) -> None:
    """kubectl prints one line per policy."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("databases", labelled(app="db")))
    wait_for_matches(api, "databases", 1)
    header, line = kubectl("get", "oomp").splitlines()

    assert "READY" in header
    assert {"databases", "True", "1"} <= set(line.split())


def test_the_pods_of_a_changed_policy_are_counted_again(api: Api) -> None:
    """The status has the generation of the counts."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("p", labelled(app="web")))
    wait_for_matches(api, "p", 0)
    api.patch("OOMPolicy", "p", {"spec": {"match": labelled(app="db")}})

    assert 2 == wait_for_matches(api, "p", 1)["observedGeneration"]


@pytest.mark.usefixtures("lax_definition")
def test_an_invalid_policy_of_an_older_definition_is_not_ready(api: Api) -> None:
    """The condition names the error, and says that the policy is not applied."""
    api.create(policy("p", priority={"value": 5000}))
    found = eventually(lambda: condition(status(api, "p"), "Ready"), bool)

    assert ("False", "Invalid") == (found["status"], found["reason"])
    assert "not applied: spec.priority.value: must be from 0 to 1000, not 5000" in found["message"]
    api.patch("OOMPolicy", "p", {"spec": {"priority": {"value": 500}}})
    eventually(lambda: condition(status(api, "p"), "Ready"), lambda ready: ready["status"] == "True")


@pytest.mark.parametrize("change", ["pod label", "namespace label", "new pod", "deleted pod", "finished pod"])
def test_a_change_in_the_cluster_changes_the_count(change: str, api: Api) -> None:
    """Labels, new pods, deleted pods and finished pods change the number of matched pods."""
    api.namespace("shop", {"team": "a"})
    api.pod("shop", "a", labels={"app": "db"})
    api.pod("shop", "b", labels={"app": "db"})
    api.create(policy("p", {**labelled(app="db"), "namespaceSelector": {"matchLabels": {"team": "a"}}}))
    wait_for_matches(api, "p", 2)
    if change == "pod label":
        api.patch("Pod", "a", {"metadata": {"labels": {"app": "web"}}}, namespace="shop")
        wait_for_matches(api, "p", 1)
    elif change == "namespace label":
        api.patch("Namespace", "shop", {"metadata": {"labels": {"team": "b"}}})
        wait_for_matches(api, "p", 0)
    elif change == "new pod":
        api.pod("shop", "c", labels={"app": "db"})
        wait_for_matches(api, "p", 3)
    elif change == "deleted pod":
        api.delete("Pod", "a", "shop")
        wait_for_matches(api, "p", 1)
    else:
        api.patch("Pod", "a", {"status": {"phase": "Succeeded"}}, namespace="shop", subresource="/status")
        wait_for_matches(api, "p", 1)


def test_classes_are_matched(api: Api) -> None:
    """A policy can match the QoS class that the API server sets, and the PriorityClass that the pod names."""
    api.create(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "critical"},
            "value": 1000,
        }
    )
    everything = {"cpu": "1", "memory": "1Gi"}
    api.pod("default", "guaranteed", requests=everything, limits=everything)
    api.pod("default", "burstable", requests=everything)
    api.pod("default", "critical", priority_class="critical")
    api.create(policy("qos", {"qosClasses": ["Guaranteed"]}))
    api.create(policy("class", {"priorityClassNames": ["critical"]}))

    wait_for_matches(api, "qos", 1)
    wait_for_matches(api, "class", 1)
    api.delete("Pod", "guaranteed", "default")
    api.pod("default", "guaranteed", requests=everything)
    api.delete("Pod", "critical", "default")
    api.pod("default", "critical")
    wait_for_matches(api, "qos", 0)
    wait_for_matches(api, "class", 0)


def test_equal_precedence_on_the_same_pods_is_an_overlap(api: Api) -> None:
    """Each of two overlapping policies names the other, until one has another precedence."""
    api.pod("default", "a", labels={"app": "db", "tier": "prod"})
    api.create(policy("apps", labelled(app="db")))
    api.create(policy("tiers", labelled(tier="prod")))
    api.create(policy("elsewhere", labelled(app="none")))

    def overlaps() -> dict[str, tuple[str, str]]:
        found = {name: condition(status(api, name), "Overlapping") for name in ("apps", "tiers", "elsewhere")}
        return {name: (each.get("status", ""), each.get("message", "")) for name, each in found.items()}

    found = eventually(overlaps, lambda found: "True" == found["apps"][0] == found["tiers"][0])
    assert "tiers" in found["apps"][1]
    assert "apps" in found["tiers"][1]
    assert "False" == found["elsewhere"][0]
    api.patch("OOMPolicy", "tiers", {"spec": {"precedence": 200}})
    eventually(overlaps, lambda found: {"False"} == {each for each, _ in found.values()})


def test_five_hundred_policies_are_ready_within_seconds(api: Api, operator: Operator) -> None:
    """500 policies that are created at once have the condition Ready within a minute. Most time is the API server's."""
    for number in range(20):
        api.pod("default", f"pod-{number}", labels={"app": f"app-{number}"})
    names = [f"policy-{number}" for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: api.create(policy(n, labelled(app=n.replace("policy", "app")))), names))
    created = time.monotonic()

    def unready() -> set[str]:
        found = {each["metadata"]["name"]: each.get("status", {}) for each in api.list("OOMPolicy")}
        return {name for name, each in found.items() if condition(each, "Ready").get("status") != "True"}

    eventually(unready, lambda names: not names, deadline=60)
    print(f"500 policies ready {time.monotonic() - created:.1f} s after the last was created")
    assert 20 == sum(status(api, name)["matchedPods"] for name in names[:30])
    assert 500 == operator.metric("oompolicy_policies", ready="true")
