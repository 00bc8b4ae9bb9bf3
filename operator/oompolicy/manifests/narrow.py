# SPDX-License-Identifier: Apache-2.0
"""Leave out the pods and policies that do not concern some pods. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from oompolicy.manifests.collect import WITHOUT_PODS, Manifests
from oompolicy.model import OOMPolicy, Pod
from oompolicy.resolve import Resolver


def narrowed(manifests: Manifests, pods: Sequence[Pod]) -> Manifests:
    """Return the manifests with these pods alone, and with the policies that select one of them.

    The priorities of the pods stay as they are. Namespaces, settings and problems stay too.
    """
    policies = tuple(policy for policy in manifests.policies if _selects(policy, manifests, pods))
    names, uids = {policy.name for policy in policies}, {pod.uid for pod in pods}
    # Both are in the order of the objects.
    is_kept = iter([policy.name in names for policy in manifests.policies])
    is_selected = iter([pod.uid in uids for pod in manifests.pods])

    def concerns(kind: object) -> bool:
        if kind == "OOMPolicy":
            return next(is_kept)
        return kind in WITHOUT_PODS or next(is_selected)

    objects = tuple(each for each in manifests.objects if concerns(each[1].get("kind")))
    return replace(manifests, policies=policies, pods=tuple(pods), objects=objects)


def _selects(policy: OOMPolicy, manifests: Manifests, pods: Sequence[Pod]) -> bool:
    alone = Resolver([policy], manifests.namespaces)
    return any(alone.assign(pod).policy is not None for pod in pods)
