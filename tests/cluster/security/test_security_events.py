# SPDX-License-Identifier: Apache-2.0
"""An agent writes Events only for its own node and in its own name, and cannot change them later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from tests.cluster.security.requests import merge_patch, refusal
from tests.cluster.security.test_security_status import NO_CLAIM

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection
    from tests.cluster.security.conftest import Guarded

EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"
NOW = "2026-11-25T12:00:00.000000Z"
SERIES = {"series": {"count": 2, "lastObservedTime": NOW}}


def event(name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a valid Event of guarded-a. `fields` replace its fields, and None removes one."""
    base = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "guarded-team"},
        "eventTime": NOW,
        "type": "Warning",
        "reason": "OOMVictimKilled",
        "action": "Kill",
        "reportingController": "oompolicy.dev/agent",
        "reportingInstance": "guarded-a",
        "regarding": pod("guarded-team"),
        "note": "java (pid 4711) was killed",
    }
    return {key: value for key, value in (base | fields).items() if value is not None}


def pod(namespace: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": "web", "uid": "a-uid"}


def node(name: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "Node", "name": name, "uid": "a-uid"}


def post(connection: Connection, body: dict[str, Any], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    return connection.request("POST", EVENTS.format(body["metadata"]["namespace"]), body=body, **options)


def path_of(body: dict[str, Any]) -> str:
    return f"{EVENTS.format(body['metadata']['namespace'])}/{body['metadata']['name']}"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reason": "OOMAnnotationRefused", "action": "Resolve"},
        {"reason": "OOMPodFieldUnreadable", "action": "Resolve"},
        {"regarding": node("guarded-a"), "metadata": {"name": "", "namespace": "default"}},
        {
            "reason": "OOMPolicyCircuitOpen",
            "action": "Audit",
            "regarding": node("guarded-a"),
            "metadata": {"name": "", "namespace": "default"},
        },
        {"related": {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "name": "databases"}},
    ],
    ids=["victim", "annotation", "field", "host process", "circuit", "policy"],
)
def test_an_agent_writes_each_kind_of_its_events(
    agent: Connection, admin: Connection, name: str, fields: dict[str, Any]
) -> None:
    """The agent can create each kind, and change its series when it happens again."""
    body = event(name, **fields)
    body["metadata"] |= {"name": name}
    post(agent, body)
    merge_patch(agent, path_of(body), SERIES)

    assert 2 == admin.request("GET", path_of(body))["series"]["count"]


def test_the_agent_of_a_node_with_a_long_name_writes_events(guarded: Guarded, admin: Connection) -> None:
    """The agent cuts the name, because a node's name may have 253 characters and the field 128."""
    name = ".".join(["n" * 49] * 4)
    guarded.cluster.api.node(name)
    long = guarded.connection(guarded.deployment.agent_kubeconfig(name))
    body = event("long", reportingInstance=name[:128])
    post(long, body)

    assert name[:128] == admin.request("GET", path_of(body))["reportingInstance"]
    assert refusal(lambda: post(long, event("longer", reportingInstance=name[:127]))).endswith(
        f"the agent of node {name} may not write an Event with the reportingInstance {name[:127]}"
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"reportingInstance": "guarded-b"},
            "the agent of node guarded-a may not write an Event with the reportingInstance guarded-b",
        ),
        (
            {"reportingController": "kubelet"},
            "an agent may write only Events with the reportingController oompolicy.dev/agent",
        ),
    ],
)
def test_an_agent_writes_no_event_in_another_name(
    agent: Connection, name: str, fields: dict[str, Any], sentence: str
) -> None:
    """The name of another node is refused, and so is the name of another component."""
    assert refusal(lambda: post(agent, event(name, **fields))).endswith(sentence)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "Evicted"},
        {"reason": "OOMAnnotationRefused"},
        {"reason": "OOMPolicyCircuitOpen"},
        {"action": "Resolve"},
        {"action": "Audit"},
        {"action": "Evict"},
        {"type": "Normal"},
    ],
    ids=str,
)
def test_an_agent_writes_only_events_of_its_own_reasons(agent: Connection, name: str, fields: dict[str, Any]) -> None:
    """Each reason has its own action, and the type is Warning."""
    assert refusal(lambda: post(agent, event(name, **fields))).endswith(
        "an agent's Event must be a Warning with reason OOMVictimKilled and action Kill,"
        " with reason OOMAnnotationRefused or OOMPodFieldUnreadable and action Resolve,"
        " or with reason OOMPolicyCircuitOpen and action Audit"
    )


def test_an_open_circuit_is_that_of_a_node(agent: Connection, name: str) -> None:
    body = event(name, reason="OOMPolicyCircuitOpen", action="Audit")

    assert refusal(lambda: post(agent, body)).endswith(
        "an agent's Event with reason OOMPolicyCircuitOpen must be about its Node"
    )


@pytest.mark.parametrize(
    ("regarding", "namespace"),
    [
        (None, "default"),
        (pod("guarded-other"), "guarded-team"),
        (pod("guarded-team") | {"apiVersion": "example.com/v1"}, "guarded-team"),
        (pod("guarded-team") | {"kind": "Service"}, "guarded-team"),
        (node("guarded-b"), "default"),
    ],
    ids=["nothing", "pod elsewhere", "no Pod", "Service", "another node"],
)
def test_an_agents_event_is_about_a_pod_of_its_namespace_or_its_own_node(
    agent: Connection, name: str, regarding: dict[str, str] | None, namespace: str
) -> None:
    """The API server itself would accept an Event in another namespace than the pod that it names."""
    body = event(name, regarding=regarding, metadata={"name": name, "namespace": namespace})

    assert refusal(lambda: post(agent, body)).endswith(
        "an agent's Event must be about a Pod in the Event's own namespace, or about the agent's own Node"
    )


@pytest.mark.parametrize(
    "metadata",
    [
        {"finalizers": ["example.com/stay"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "a-uid"}]},
    ],
    ids=lambda metadata: next(iter(metadata)),
)
def test_an_agents_event_has_neither_finalizers_nor_owners(
    agent: Connection, name: str, metadata: dict[str, Any]
) -> None:
    """An Event with a finalizer would prevent the deletion of its namespace."""
    body = event(name)
    body["metadata"] |= metadata

    assert refusal(lambda: post(agent, body)).endswith(
        "an agent's Event must have neither finalizers nor ownerReferences"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"labels": {"team": "a"}}},
        {"metadata": {"annotations": {"mine": "x" * 200_000}}},
        {"series": {"count": 2147483647, "lastObservedTime": NOW}},
    ],
    ids=["labels", "annotations", "series"],
)
def test_an_agent_creates_an_event_without_labels_annotations_and_series(
    agent: Connection, name: str, fields: dict[str, Any]
) -> None:
    """Other clients select by labels, and a new Event has not happened again yet."""
    body = event(name, **{key: value for key, value in fields.items() if key != "metadata"})
    body["metadata"] |= fields.get("metadata", {})

    assert refusal(lambda: post(agent, body)).endswith(
        "an agent must create an Event without labels, annotations and series"
    )


@pytest.mark.parametrize("where", [{}, {"namespace": "guarded-team"}], ids=["no namespace", "a namespace"])
def test_an_agents_event_about_its_node_is_in_default(agent: Connection, name: str, where: dict[str, str]) -> None:
    """An Event about the node is refused in the namespace of a tenant."""
    body = event(name, regarding=node("guarded-a") | where)
    with pytest.raises(ApiError) as caught:
        post(agent, body)

    assert caught.value.status in (403, 422)
    assert (
        "must be in the namespace default" in caught.value.message or "involvedObject.namespace" in caught.value.message
    )


def test_an_agent_adds_no_finalizer_to_its_event(agent: Connection, name: str) -> None:
    """A finalizer is also refused in a change of an Event."""
    body = post(agent, event(name))
    change = {"metadata": {"finalizers": ["example.com/stay"]}}

    assert refusal(lambda: merge_patch(agent, path_of(body), change)).endswith(
        "an agent's Event must have neither finalizers nor ownerReferences"
    )


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_an_agent_changes_no_metadata_of_its_event(agent: Connection, name: str, where: str) -> None:
    """The agent may change only the series."""
    body = post(agent, event(name))
    change = {"metadata": {where: {"mine": "yes"}}}

    assert refusal(lambda: merge_patch(agent, path_of(body), change)).endswith(
        "an agent may change only the series of an Event"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"note": "nothing happened"},
        {"reason": "OOMAnnotationRefused", "action": "Resolve"},
        {"reportingInstance": "guarded-b"},
        {"reportingController": "kubelet"},
        {"regarding": node("guarded-a")},
        {"eventTime": "2026-11-25T12:00:01.000000Z"},
        {"type": "Normal"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_event_stays_as_it_was_written(
    agent: Connection, admin: Connection, name: str, change: dict[str, Any]
) -> None:
    """Each change is refused, by the policy or by the API server's own rules."""
    body = post(agent, event(name))
    with pytest.raises(ApiError) as caught:
        merge_patch(agent, path_of(body), change)
    field = next(iter(change))

    assert caught.value.status in (403, 422)
    assert body[field] == admin.request("GET", path_of(body))[field]


def test_an_agent_does_not_touch_another_nodes_event(agent: Connection, other_agent: Connection, name: str) -> None:
    """A change of the series of another node's Event is refused."""
    body = post(other_agent, event(name, reportingInstance="guarded-b"))

    assert refusal(lambda: merge_patch(agent, path_of(body), SERIES)).endswith(
        "the agent of node guarded-a may not write an Event with the reportingInstance guarded-b"
    )


def test_an_agent_does_not_take_over_another_components_event(agent: Connection, admin: Connection, name: str) -> None:
    """A change of the series of a kubelet's Event is refused."""
    body = post(admin, event(name, reportingController="kubelet"))

    assert refusal(lambda: merge_patch(agent, path_of(body), SERIES)).endswith(
        "an agent may write only Events with the reportingController oompolicy.dev/agent"
    )


def test_an_agent_does_not_use_the_old_event_group(agent: Connection, name: str) -> None:
    """RBAC does not have the group of core/v1, because the rules for its Events are weaker."""
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "guarded-team"},
        "involvedObject": pod("guarded-team"),
    }

    assert 'resource "events" in API group ""' in refusal(
        lambda: agent.request("POST", "/api/v1/namespaces/guarded-team/events", body=body)
    )


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE"])
def test_an_agent_neither_reads_nor_replaces_nor_deletes_its_event(agent: Connection, name: str, verb: str) -> None:
    """RBAC of the agent has only the verbs create and patch."""
    body = post(agent, event(name))
    sent = body if verb == "PUT" else None

    assert 'resource "events" in API group "events.k8s.io"' in refusal(
        lambda: agent.request(verb, path_of(body), body=sent)
    )


def test_a_token_that_is_bound_to_no_pod_writes_no_event(unbound_agent: Connection, name: str) -> None:
    """The name of the node is in the token, so a token without one is refused."""
    assert refusal(lambda: post(unbound_agent, event(name))).endswith(NO_CLAIM)


def test_an_admin_that_impersonates_the_agent_writes_no_event(admin: Connection, name: str) -> None:
    """A request by impersonation has no claims."""
    header = {"Impersonate-User": "system:serviceaccount:oompolicy-system:oompolicy-agent"}

    assert refusal(lambda: post(admin, event(name), headers=header)).endswith(NO_CLAIM)


def test_the_rules_for_agents_are_only_for_agents(admin: Connection, name: str) -> None:
    """Other components write their Events without these rules."""
    body = post(admin, event(name, reportingController="example.com/other", reason="Whatever", action="Look"))

    assert "Whatever" == body["reason"]
