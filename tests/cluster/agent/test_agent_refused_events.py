# SPDX-License-Identifier: Apache-2.0
"""A namespace that refuses Events costs no other namespace anything, and loses none of its own."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError, UnreachableError
from tests.cluster.agent.test_agent_events import counted, killed
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RULES = {"apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}


def only_in(namespace: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


@contextmanager
def configured(api: Api, *objects: tuple[str, dict[str, Any]]) -> Iterator[None]:
    """Objects of admission by their collection, gone after the block."""
    with ExitStack() as stack:
        for plural, body in objects:
            api.connection.request("POST", f"{ADMISSION}/{plural}", body=body)
            path = f"{ADMISSION}/{plural}/{body['metadata']['name']}"
            stack.callback(api.connection.request, "DELETE", path)
        yield


def policy(namespace: str, validation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A ValidatingAdmissionPolicy for the Events of one namespace."""
    match, name = {"resourceRules": [RULES]}, {"name": "no-events"}
    spec = {"failurePolicy": "Fail", "matchConstraints": match, "validations": [{"expression": "false", **validation}]}
    binding = {
        "policyName": "no-events",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": only_in(namespace)},
    }
    return [
        ("validatingadmissionpolicies", {"kind": "ValidatingAdmissionPolicy", "metadata": name, "spec": spec}),
        (
            "validatingadmissionpolicybindings",
            {"kind": "ValidatingAdmissionPolicyBinding", "metadata": name, "spec": binding},
        ),
    ]


def a_pod(agent: RunningAgent, api: Api, namespace: str, container: str) -> str:
    """The cgroup of the container of a new pod in a new namespace."""
    api.namespace(namespace)
    pod = api.pod(namespace, "web-0", node=agent.node)
    api.run(pod, {"app": container})
    return agent.run(pod, container)


# Without a reason a policy denies with 422 and Invalid, which is not the same as an Event that is not valid.
@pytest.mark.parametrize(
    ("kills", "validation"), [(300, {}), (20, {"reason": "Unauthorized"})], ids=["no reason", "Unauthorized"]
)
def test_a_namespace_that_refuses_events_holds_up_no_other(
    agent: RunningAgent, api: Api, kills: int, validation: dict[str, Any]
) -> None:
    """However many it refuses, and with any status; when it takes them, they come, and each is counted once."""
    evil, other = a_pod(agent, api, "evil", "ab" * 32), a_pod(agent, api, "other", "cd" * 32)
    agent.start(event_limits={"series_every": 1.0})
    agent.wait_ready()
    with configured(api, *policy("evil", validation)):
        eventually(lambda: refuses(api, "evil"), bool)
        for tgid in range(1, kills + 1):
            agent.oom_kill(evil, tgid)
        eventually(agent.problems, lambda problems: any("namespaces that refuse: evil" in each for each in problems))
        agent.oom_kill(other, kills + 1)

        eventually(lambda: killed(api, "other"), bool, deadline=10)
        assert [] == killed(api, "evil")
    eventually(lambda: killed(api, "evil"), lambda events: counted(events) >= kills, deadline=60)
    eventually(agent.spooled, lambda files: files == [])
    eventually(agent.problems, lambda problems: not any("refuses" in each for each in problems))

    assert kills == counted(killed(api, "evil"))
    assert agent.metric('events_total{outcome="given_up",reason="OOMVictimKilled"}') is None


def refuses(api: Api, namespace: str) -> bool:
    """Whether the rule is in force: the API server learns of it in its own time."""
    probe = {
        "metadata": {"name": "probe", "namespace": namespace},
        "eventTime": "2026-11-25T12:00:00.000000Z",
        "type": "Normal",
        "reason": "Probe",
        "action": "Probe",
        "reportingController": "example.com/probe",
        "reportingInstance": "probe",
        "regarding": {"kind": "Pod", "namespace": namespace, "name": "web-0"},
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    try:
        api.connection.request("POST", path, query={"dryRun": "All"}, body=probe, timeout=3.0)
    except (ApiError, UnreachableError):
        return True
    return False
