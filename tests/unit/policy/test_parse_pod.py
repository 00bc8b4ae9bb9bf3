# SPDX-License-Identifier: Apache-2.0
"""Pods and namespaces of the API server are read, and a wrong one is a problem with the field's name."""

from typing import Any

import pytest

from oompolicy.model import Container, Namespace, Pod, QOSClass, Unread
from oompolicy.parse import InvalidObject, parse_namespace, parse_pod, read_pod
from oompolicy_agent.objects.trim import trim
from tests.unit.policy.factories import UID, raw_container, raw_pod

MIB = 1024 * 1024


def problems_of(raw: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidObject) as caught:
        parse_pod(raw)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_the_necessary_fields_are_read() -> None:
    """Other fields of the object are ignored."""
    raw = raw_pod(
        metadata={"labels": {"app": "postgres"}, "annotations": {"a": "b"}, "managedFields": [1]},
        status={"qosClass": "Burstable", "phase": "Running", "podIP": "192.0.2.1"},
        nodeName="demo-node",
        priorityClassName="critical",
        containers=[raw_container("postgres", {"memory": "64Mi", "example.com/gpu": 1})],
        tolerations=None,
    )

    expected = Pod(
        uid=UID,
        namespace="shop",
        name="postgres-0",
        node_name="demo-node",
        labels={"app": "postgres"},
        annotations={"a": "b"},
        qos_class=QOSClass.BURSTABLE,
        priority_class_name="critical",
        containers=(Container("postgres", "container", (), 64 * MIB),),
        cgroup_uid=UID,
        phase="Running",
        memory_request=64 * MIB,
    )
    assert expected == parse_pod(raw)


def test_containers_are_in_the_order_of_their_start_and_have_a_kind() -> None:
    """An init container that is always restarted is a sidecar."""
    raw = raw_pod(
        initContainers=[{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
        containers=[{"name": "postgres"}],
        ephemeralContainers=[{"name": "debugger"}],
    )

    kinds = [(container.name, container.kind) for container in parse_pod(raw).containers]
    expected = [("migrate", "init"), ("proxy", "sidecar"), ("postgres", "container"), ("debugger", "ephemeral")]
    assert expected == kinds


def test_container_ids_are_the_current_and_the_last_one() -> None:
    """A container that just restarted is still found by the id it had when it was killed."""
    last = {"terminated": {"containerID": "containerd://bbb", "exitCode": 137}}
    raw = raw_pod(
        initContainers=[{"name": "migrate"}],
        ephemeralContainers=[{"name": "debugger"}],
        status={
            "containerStatuses": [{"name": "postgres", "containerID": "containerd://aaa", "lastState": last}],
            "initContainerStatuses": [{"name": "migrate", "containerID": "cri-o://ccc", "lastState": {}}],
            "ephemeralContainerStatuses": [{"name": "debugger", "state": {"waiting": {}}}],
        },
    )

    ids = {container.name: container.container_ids for container in parse_pod(raw).containers}
    assert {"migrate": ("ccc",), "postgres": ("aaa", "bbb"), "debugger": ()} == ids


@pytest.mark.parametrize(
    ("asked", "granted", "expected"),
    [("10Ti", "100Mi", 100), ("50Mi", "100Mi", 50), ("100Mi", None, 100)],
    ids=["infeasible", "smaller", "never-resized"],
)
def test_a_request_that_the_kubelet_has_not_granted_does_not_count(
    asked: str, granted: str | None, expected: int
) -> None:
    """A user may resize a pod to a request that no node has. The pod runs on as before, in the same QoS class."""
    status = {
        "name": "app",
        "containerID": "containerd://a1",
        **({"allocatedResources": {"cpu": "1", "memory": granted}} if granted else {}),
    }
    raw = raw_pod(
        status={"containerStatuses": [status]},
        containers=[
            {"name": "app", "resources": {kind: {"cpu": "1", "memory": asked} for kind in ("requests", "limits")}}
        ],
    )
    pod = parse_pod(raw)

    assert [expected * MIB] == [container.memory_request for container in pod.containers]
    assert expected * MIB == pod.memory_request
    assert QOSClass.GUARANTEED is pod.qos_class
    assert pod == parse_pod(trim({**raw, "kind": "Pod", "apiVersion": "v1"}))


@pytest.mark.parametrize(
    ("state", "running"),
    [({"running": {}}, True), ({"terminated": {}}, False), ({"running": None}, False), ("x", False)],
)
def test_a_container_runs_if_the_kubelet_has_reported_it(state: object, *, running: bool) -> None:
    """A container that ended keeps its id in the status."""
    status = {"containerStatuses": [{"name": "postgres", "containerID": "containerd://1", "state": state}]}

    assert [running] == [container.running for container in parse_pod(raw_pod(status=status)).containers]


def test_a_static_pod_has_the_cgroup_of_its_manifest() -> None:
    """The kubelet names the cgroup by the uid of the manifest, and the mirror pod has another uid."""
    pod = parse_pod(raw_pod(metadata={"annotations": {"kubernetes.io/config.mirror": "77bb42"}}))

    assert (UID, "77bb42") == (pod.uid, pod.cgroup_uid)


def test_a_pod_without_a_uid_is_refused() -> None:
    """The cgroup of such a pod cannot be found."""
    raw = raw_pod()
    del raw["metadata"]["uid"]

    assert [("metadata.uid", "is required")] == problems_of(raw)


def test_a_hand_written_pod_gets_the_same_uid_every_time() -> None:
    """The stand-in depends only on namespace and name."""
    raw = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}
    other = {"metadata": {"name": "a", "namespace": "b"}}

    first, second, third = (parse_pod(each, stand_in_uid=True) for each in (raw, dict(raw), other))
    assert first == second
    assert "default" == first.namespace
    assert first.uid == first.cgroup_uid != third.uid


def test_stand_ins_do_not_replace_a_uid() -> None:
    """An existing uid is used."""
    assert UID == parse_pod(raw_pod(), stand_in_uid=True).uid


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            raw_pod(metadata={"annotations": {"oompolicy.dev/priority": 650}}),
            ("metadata.annotations[oompolicy.dev/priority]", "must be a string, not an integer; put it in quotes"),
        ),
        (raw_pod(metadata={"name": None}), ("metadata.name", "is required")),
        (raw_pod(metadata={"labels": []}), ("metadata.labels", "must be an object, not a list")),
        (raw_pod(containers=[{}]), ("spec.containers[0].name", "is required")),
        (raw_pod(containers={}), ("spec.containers", "must be a list, not an object")),
        (
            raw_pod(containers=[raw_container("a", {"memory": "5Q"})]),
            ("spec.containers[0].resources.requests.memory", "'5Q' is no quantity"),
        ),
        (
            raw_pod(containers=[raw_container("a", {"memory": "-1"})]),
            ("spec.containers[0].resources.requests.memory", "must not be negative"),
        ),
        (
            raw_pod(status={"qosClass": "Best"}),
            ("status.qosClass", "must be one of Guaranteed, Burstable, BestEffort, not 'Best'"),
        ),
    ],
)
def test_a_necessary_field_of_the_wrong_type_is_a_problem(raw: dict[str, Any], expected: tuple[str, str]) -> None:
    """There is one problem, with field and message."""
    assert [expected] == problems_of(raw)


def test_an_unreadable_field_of_the_api_servers_pod_is_left_out() -> None:
    """The rest of the pod is used, and each such field is named."""
    raw = raw_pod(
        metadata={"labels": {"app": "postgres"}},
        status={"qosClass": "Guaranteed", "containerStatuses": "none"},
        containers=[raw_container("postgres", {"memory": "5Q", "cpu": "1"}), {}],
        overhead=[],
    )

    pod = read_pod(raw)
    assert ("postgres-0", {"app": "postgres"}, QOSClass.GUARANTEED) == (pod.name, pod.labels, pod.qos_class)
    assert (["postgres"], 0) == ([each.name for each in pod.containers], pod.memory_request)
    expected = {
        Unread("status.containerStatuses", "must be a list, not a string"),
        Unread("spec.containers[0].resources.requests.memory", "'5Q' is no quantity"),
        Unread("spec.containers[1].name", "is required"),
        Unread("spec.overhead", "must be an object, not a list"),
    }
    assert expected == set(pod.unread)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (raw_pod(metadata={"name": None}), "metadata.name"),
        (raw_pod(metadata={"uid": 5}), "metadata.uid"),
        (raw_pod(metadata={"labels": {"app": 1}}), "metadata.labels.app"),
        (raw_pod(status={"qosClass": "Best"}), "status.qosClass"),
        (raw_pod(priorityClassName=5), "spec.priorityClassName"),
    ],
)
def test_a_pod_without_the_fields_that_decide_its_priority_is_refused(raw: dict[str, Any], field: str) -> None:
    """The API server accepts none of these pods."""
    with pytest.raises(InvalidObject) as caught:
        read_pod(raw)

    assert [field] == [problem.field for problem in caught.value.problems]


def test_a_namespace_has_a_name_and_labels() -> None:
    """Labels may be missing or null."""
    labelled = {"metadata": {"name": "shop", "labels": {"tier": "prod"}}}

    assert Namespace("shop", {"tier": "prod"}) == parse_namespace(labelled)
    assert Namespace("shop", {}) == parse_namespace({"metadata": {"name": "shop", "labels": None}})


def test_a_namespace_without_a_name_is_refused() -> None:
    """The object is named by its kind alone."""
    with pytest.raises(InvalidObject) as caught:
        parse_namespace({"kind": "Namespace"})

    assert "Namespace: metadata.name: is required" == str(caught.value)
