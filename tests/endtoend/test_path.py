# SPDX-License-Identifier: Apache-2.0
"""The path from `kubectl apply` to `kubectl get events`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.endtoend.scene import KILLED, REFUSED
from tests.node.kubelet import NODE_NAME

if TYPE_CHECKING:
    from tests.endtoend.scene import Scene
    from tests.node.kubelet import Pod

PROD = {"tier": "prod"}


@pytest.fixture
def shop(scene: Scene) -> dict[str, Pod]:
    """Return the pods of examples/demo with its policies: a database, which holds the most memory, and a batch job."""
    scene.apply("examples/demo/namespaces.yaml")
    scene.adopt("shop", "batch")
    scene.apply("examples/demo/databases.yaml", "examples/demo/batch.yaml")
    pods = {
        "postgres": scene.pod("shop", "postgres-0", labels={"app": "postgres"}, containers=("postgres",)),
        "report": scene.pod("batch", "report-29393280-lq5rd", containers=("report",)),
    }
    scene.start(pods["postgres"], 120, "postgres")
    scene.start(pods["report"], 20, "report")
    scene.installation.await_priority(pods["postgres"], 900, "postgres")
    scene.installation.await_priority(pods["report"], 100, "report")
    return pods


def test_the_policy_chooses_the_victim_and_kubectl_shows_its_event(scene: Scene, shop: dict[str, Pod]) -> None:
    """The batch job dies. The Event on the job's pod names the bigger database as spared."""
    assert "report-29393280-lq5rd" == scene.first_victim("exhaust_node", uid=shop["report"].uid, container="report")
    scene.event(shop["report"], KILLED)

    kubectl = scene.installation.kubectl
    (event,) = json.loads(kubectl("get", "events.events.k8s.io", "--namespace=batch", "--output=json"))["items"]
    regarding = event["regarding"]
    assert ("Pod", shop["report"].uid, "spec.containers{report}") == (
        regarding["kind"],
        regarding["uid"],
        regarding["fieldPath"],
    )
    assert ("OOMPolicy", "batch") == (event["related"]["kind"], event["related"]["name"])
    for words in ("scope Node", "priority 100 from OOMPolicy batch", "spared: postgres", "pod shop/postgres-0"):
        assert words in event["note"]
    line = next(text for text in kubectl("get", "events", "--namespace=batch").splitlines() if KILLED in text)
    assert "pod/report-29393280-lq5rd" in line.split()


def test_the_oomnode_reports_that_the_node_enforces(scene: Scene, shop: dict[str, Pod]) -> None:
    """`kubectl get oomn` shows the state in one line. The operator counts the node for each policy that it applies."""
    kubectl = scene.installation.kubectl
    header, line = kubectl("get", "oomn").splitlines()
    shown = dict(zip(header.split(), line.split(), strict=True))

    assert shop
    assert {"NAME": NODE_NAME, "MODE": "Enforce", "BACKEND": "EvaluateTask"}.items() <= shown.items()
    assert ("True", "True") == (shown["ENFORCING"], shown["READY"])
    counts = "--output=jsonpath={.status.matchedPods} {.status.appliedNodes}"
    assert "1 1" == scene.printed("get", "oompolicy", "batch", counts, wanted="1 1")


def test_a_change_in_the_cluster_changes_the_priority_in_the_kernel(scene: Scene) -> None:
    """The priority follows a pod's labels and annotations, its namespace's labels, and changes of policies."""
    installation = scene.installation
    scene.namespace("team")
    scene.policy("gold", match={"podSelector": {"matchLabels": {"class": "gold"}}}, priority={"value": 900})
    scene.policy(
        "prod",
        match={"namespaceSelector": {"matchLabels": PROD}},
        priority={"value": 700},
        override={"min": 600, "max": 800},
        precedence=10,
    )
    pod = scene.pod("team", "web")
    installation.await_priority(pod, 500)

    installation.label(pod, {"class": "gold"})
    installation.await_priority(pod, 900)
    scene.api.patch("Namespace", "team", {"metadata": {"labels": PROD}})
    installation.await_priority(pod, 700)
    installation.annotate(pod, {"oompolicy.dev/priority": "650"})
    installation.await_priority(pod, 650)
    scene.api.patch("OOMPolicy", "prod", {"spec": {"override": None}})
    installation.await_priority(pod, 700)
    scene.api.delete("OOMPolicy", "prod")
    installation.await_priority(pod, 900)


def test_a_refused_annotation_is_reported_on_the_pod(scene: Scene) -> None:
    """The pod keeps the priority of the policy, and an Event of type Warning gives the reason."""
    scene.namespace("team")
    match = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}}}
    scene.policy("low", match=match, priority={"value": 300}, override={"min": 200, "max": 400})
    pod = scene.pod("team", "web", annotations={"oompolicy.dev/priority": "999"})
    scene.installation.await_priority(pod, 300)
    seen = scene.event(pod, REFUSED)

    assert ("Warning", "Resolve") == (seen.event["type"], seen.event["action"])
    for words in ("999", "200", "400"):
        assert words in seen.note
