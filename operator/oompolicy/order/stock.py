# SPDX-License-Identifier: Apache-2.0
"""Compute the oom_score_adj that a kubelet gives to a container. Pure.

The rule is GetContainerOOMScoreAdjust() in pkg/kubelet/qos/policy.go, without the resources of whole pods, which change
the score of a Burstable pod.
"""

from typing import Final

from oompolicy.model import Pod, QOSClass
from oompolicy.resolve.matching import is_node_critical

_GUARANTEED: Final = -997
_BEST_EFFORT: Final = 1000


def score_of(pod: Pod, container: str | None, capacity: int) -> int:
    """Return the score of a container, by default of the one with the smallest request. `capacity` is in bytes."""
    if is_node_critical(pod) or pod.qos_class is QOSClass.GUARANTEED:
        return _GUARANTEED
    if pod.qos_class is QOSClass.BEST_EFFORT:
        return _BEST_EFFORT
    scores = [_burstable(each.memory_request, capacity) for each in pod.containers if container in (None, each.name)]
    score = max(scores, default=_BEST_EFFORT - 1)
    kinds = {each.name: each.kind for each in pod.containers}
    regular = [each.memory_request for each in pod.containers if each.kind == "container"]
    if kinds.get(container or "") == "sidecar" and regular:
        # A sidecar is at least as safe as the regular container with the smallest request.
        score = min(score, _burstable(min(regular), capacity))
    return score


def _burstable(request: int, capacity: int) -> int:
    return min(max(1000 - 1000 * request // capacity, 1000 + _GUARANTEED), _BEST_EFFORT - 1)
