# SPDX-License-Identifier: Apache-2.0
"""A mirror pod is recognized by the owner that the kubelet gives it, and no content of an object is an error."""

from typing import Any

import pytest

from oompolicy.mirror import MIRROR, is_static, read_mirror
from oompolicy.model import Mirror
from oompolicy.parse import parse_pod
from tests.unit.policy.factories import raw_pod

NODE = "demo-node"
CREATED = "2026-11-27T20:00:00Z"
OWNER = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "uid-of-the-node", "controller": True}


def raw_mirror(**metadata: object) -> dict[str, Any]:
    annotations = {MIRROR: "d41d8cd98f00b204e9800998ecf8427e"}
    return raw_pod(metadata={"annotations": annotations, "creationTimestamp": CREATED, **metadata}, nodeName=NODE)


def test_the_kubelets_mirror_pod_is_owned_by_its_node() -> None:
    """A mirror pod as pkg/kubelet/pod/mirror_client.go makes it."""
    pod = parse_pod(raw_mirror(ownerReferences=[OWNER]))

    assert Mirror(by_node=True, created=CREATED) == pod.mirror
    assert is_static(pod)


@pytest.mark.parametrize(
    "owners",
    [
        None,
        [],
        {},
        "Node",
        [None],
        [{}],
        [OWNER | {"controller": False}],
        [OWNER | {"controller": "true"}],
        [OWNER | {"kind": "ReplicaSet"}],
        [OWNER | {"apiVersion": "apps/v1"}],
        [OWNER | {"name": "another-node"}],
    ],
)
def test_a_pod_without_its_node_as_controlling_owner_is_not_static(owners: object) -> None:
    """Owners of any type and content are read."""
    pod = parse_pod(raw_mirror(ownerReferences=owners))

    assert Mirror(by_node=False, created=CREATED) == pod.mirror
    assert not is_static(pod)


def test_a_mirror_pod_written_by_hand_is_static() -> None:
    """The API server gives each object its time of creation, so this one comes from a file."""
    assert is_static(parse_pod(raw_mirror(creationTimestamp=None)))


@pytest.mark.parametrize(
    "raw",
    [raw_pod(), {}, {"metadata": None}, {"metadata": {"annotations": [MIRROR]}}, raw_mirror(annotations={MIRROR: 7})],
)
def test_other_pods_are_no_mirror_pods(raw: dict[str, Any]) -> None:
    """An annotation of the wrong form makes no mirror pod."""
    assert read_mirror(raw) is None
