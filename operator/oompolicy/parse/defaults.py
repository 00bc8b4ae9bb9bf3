# SPDX-License-Identifier: Apache-2.0
"""Read `spec.defaults` and `spec.hostPriority` of OOMSettings, the priorities that no policy gives.

No default can let a critical pod die before a pod that is not critical, or a node-critical pod before a process of the
host. The kubelet gives node-critical pods an oom_score_adj of -997, below that of the host's processes and of other
pods. An admin who wants another order for some critical pods says so in an OOMPolicy that names their PriorityClass.
"""

from typing import Final

from oompolicy.model import MAX_PRIORITY, MIN_PRIORITY, Defaults
from oompolicy.parse.fields import Field

_BUILT_IN: Final = Defaults()
_KEYS: Final = {
    "nodeCritical": _BUILT_IN.node_critical,
    "clusterCritical": _BUILT_IN.cluster_critical,
    "guaranteed": _BUILT_IN.guaranteed,
    "burstable": _BUILT_IN.burstable,
    "bestEffort": _BUILT_IN.best_effort,
}


def read_defaults(defaults: Field) -> Defaults:
    """Return the defaults. A class without a value has the built-in default."""
    if defaults:
        defaults.known(*_KEYS)
    node, cluster, guaranteed, burstable, best_effort = (
        read_priority(defaults.child(key), otherwise) for key, otherwise in _KEYS.items()
    )
    return Defaults(guaranteed, burstable, best_effort, node, cluster)


def read_priority(value: Field, otherwise: int) -> int:
    """Return a priority, or `otherwise` if the field is absent."""
    return value.integer(MIN_PRIORITY, MAX_PRIORITY) if value else otherwise


def check_order(defaults: Field, read: Defaults, host_priority: int) -> None:
    """Report defaults that would make a critical pod an earlier victim. The API server has the same rules."""
    if defaults.report.problems:
        return
    highest = max(read.guaranteed, read.burstable, read.best_effort)
    if read.node_critical < host_priority:
        defaults.child("nodeCritical").problem(
            f"must be at least hostPriority, which is {host_priority}, so that no node-critical pod dies before a"
            " process of the host by default"
        )
    if read.node_critical < read.cluster_critical:
        defaults.child("nodeCritical").problem(
            f"must be at least clusterCritical, which is {read.cluster_critical}, so that no node-critical pod dies"
            " before another pod by default"
        )
    if read.cluster_critical < highest:
        defaults.child("clusterCritical").problem(
            f"must be at least {highest}, the highest of guaranteed, burstable and bestEffort, so that no critical pod"
            " dies before a pod that is not critical by default"
        )
