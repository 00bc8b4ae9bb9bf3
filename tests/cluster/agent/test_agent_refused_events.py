# SPDX-License-Identifier: Apache-2.0
"""A namespace that refuses Events delays no other namespace, and loses none of its own Events."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from oompolicy.kube.errors import ApiError, UnreachableError
from tests.cluster.agent.test_agent_events import counted, killed
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RULES = {"apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}


def only_in(namespace: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


@contextmanager
def configured(api: Api, *objects: tuple[str, dict[str, Any]]) -> Iterator[None]:
    """Create objects of admission in their collections, and delete them after the block."""
    with ExitStack() as stack:
        for plural, body in objects:
            api.connection.request("POST", f"{ADMISSION}/{plural}", body=body)
            path = f"{ADMISSION}/{plural}/{body['metadata']['name']}"
            stack.callback(api.connection.request, "DELETE", path)
        yield


@contextmanager
def policy_without_reason(api: Api, namespace: str) -> Iterator[None]:
    """Deny Events by a ValidatingAdmissionPolicy, with 422 and Invalid although the Event is valid."""
    match, name = {"resourceRules": [RULES]}, {"name": "no-events"}
    spec = {"failurePolicy": "Fail", "matchConstraints": match, "validations": [{"expression": "false"}]}
    binding = {
        "policyName": "no-events",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": only_in(namespace)},
    }
    with configured(
        api,
        ("validatingadmissionpolicies", {"kind": "ValidatingAdmissionPolicy", "metadata": name, "spec": spec}),
        (
            "validatingadmissionpolicybindings",
            {"kind": "ValidatingAdmissionPolicyBinding", "metadata": name, "spec": binding},
        ),
    ):
        yield


class Denial(BaseHTTPRequestHandler):
    """Denies with the status of an API server that is too busy for any request."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = {"code": 503, "reason": "ServiceUnavailable", "message": "no Events here"}
        review["response"] = {"uid": review["request"]["uid"], "allowed": False, "status": status}
        body = json.dumps({key: review[key] for key in ("apiVersion", "kind", "response")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing, because the test shows its failures."""


@contextmanager
def webhook(api: Api, namespace: str) -> Iterator[None]:
    """Deny Events by a webhook that answers with the status of an API server in trouble."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Denial) as server, ExitStack() as stack:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        hook = {
            "name": "no-events.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "rules": [RULES],
            "namespaceSelector": only_in(namespace),
            "clientConfig": {
                "url": f"https://127.0.0.1:{server.server_port}/",
                "caBundle": base64.b64encode(authority.cert_pem.bytes()).decode(),
            },
        }
        body = {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "no-events"}, "webhooks": [hook]}
        stack.enter_context(configured(api, ("validatingwebhookconfigurations", body)))
        yield


def run_pod(agent: RunningAgent, api: Api, namespace: str, container: str) -> str:
    """Run a pod in a new namespace, and return the cgroup of its container."""
    api.namespace(namespace)
    pod = api.pod(namespace, "web-0", node=agent.node)
    api.run(pod, {"app": container})
    return agent.run(pod, container)


@pytest.mark.parametrize(("kills", "rule"), [(300, policy_without_reason), (20, webhook)])
def test_a_namespace_that_refuses_events_delays_no_other(
    agent: RunningAgent, api: Api, kills: int, rule: Callable[[Api, str], AbstractContextManager[None]]
) -> None:
    """Many refusals with any status delay no Event of another namespace. Later, each refused victim is counted once."""
    evil, other = run_pod(agent, api, "evil", "ab" * 32), run_pod(agent, api, "other", "cd" * 32)
    agent.start(event_limits={"series_every": 1.0})
    agent.wait_ready()
    with rule(api, "evil"):
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
    assert 0 == agent.metric('events_total{outcome="given_up",reason="OOMVictimKilled"}')


def refuses(api: Api, namespace: str) -> bool:
    """Return whether the rule is in force, which the API server does not report."""
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
