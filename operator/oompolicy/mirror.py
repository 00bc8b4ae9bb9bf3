# SPDX-License-Identifier: Apache-2.0
"""Distinguish the kubelet's own mirror pods from pods that only claim to be mirror pods.

The kubelet runs a static pod from a file or a URL, and shows it at the API server as a mirror pod: an object with the
annotation `kubernetes.io/config.mirror`, whose value is the uid of the static pod.
The kubelet makes its Node the controlling owner of the object (pkg/kubelet/pod/mirror_client.go).

Every user who may create pods may set the annotation. The API server then requires `spec.nodeName` and forbids a
service account token, and the kubelet never runs such a pod (kubernetes/kubernetes#53467).
If the admission plugin OwnerReferencesPermissionEnforcement is off, every such user may set the owner as well.
So the owner is a hint. Only the status of a pod is a proof, because the kubelet alone writes it. The agent requires
this proof before it gives a mirror pod the cgroup that another pod claims too (`oompolicy_agent.mapping.claims`).
"""

from collections.abc import Mapping
from typing import Any, Final

from oompolicy.model import Mirror, Pod

MIRROR: Final = "kubernetes.io/config.mirror"


def is_static(pod: Pod) -> bool:
    """Return `pod.static`, as a function for places that need one."""
    return pod.static


def read_mirror(raw: Mapping[str, Any]) -> Mirror | None:
    """Return the origin of the mirror pod `raw`, or None for a pod without the annotation.

    A field of the wrong type counts as missing. Pure, and raises nothing.
    """
    metadata = _object(raw.get("metadata"))
    if not _text(_object(metadata.get("annotations")).get(MIRROR)):
        return None
    node = _text(_object(raw.get("spec")).get("nodeName"))
    owners = metadata.get("ownerReferences")
    by_node = any(_is_node(_object(owner), node) for owner in (owners if isinstance(owners, list) else ()))
    return Mirror(by_node, _text(metadata.get("creationTimestamp")))


def _is_node(owner: Mapping[str, Any], node: str) -> bool:
    named = owner.get("apiVersion"), owner.get("kind"), owner.get("name")
    return bool(node) and owner.get("controller") is True and named == ("v1", "Node", node)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
