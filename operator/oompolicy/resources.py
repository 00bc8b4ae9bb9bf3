# SPDX-License-Identifier: Apache-2.0
"""Compute a pod's QoS class and memory request from what its spec asks for.

Only CPU and memory count for the QoS class, and only what the spec says: a resize in place that is still under
way (`status.resources`) is not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from oompolicy.fields import Field
from oompolicy.model import QOSClass
from oompolicy.quantity import parse_quantity

_COUNTED = ("cpu", "memory")
_NONE = Fraction(0)


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of cpu and memory, by name, in cores and bytes; a resource not given is not in there."""

    requests: Mapping[str, Fraction] = field(default_factory=dict, hash=False)
    limits: Mapping[str, Fraction] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the parts of a pod ask for. `init` are (is a sidecar, resources) in their order."""

    init: Sequence[tuple[bool, Resources]]
    containers: Sequence[Resources]
    pod: Resources | None = None
    overhead: Mapping[str, Fraction] = field(default_factory=dict, hash=False)


def read_resources(resources: Field) -> Resources:
    """`resources` of a container. A limit without a request is the request too.

    The API server does so before anybody sees the pod (pkg/apis/core/v1/defaults.go SetDefaults_Pod); a
    hand-written pod has not been there.
    """
    limits = read_amounts(resources.child("limits"))
    return Resources({**limits, **read_amounts(resources.child("requests"))}, limits)


def read_pod_resources(resources: Field) -> Resources | None:
    """`spec.resources` of a pod, as written."""
    if not resources or resources.value is None:
        return None
    return Resources(read_amounts(resources.child("requests")), read_amounts(resources.child("limits")))


def read_amounts(amounts: Field) -> dict[str, Fraction]:
    """A mapping of resource name to quantity, of which cpu and memory are kept."""
    if not amounts or amounts.value is None:
        return {}
    return {name: _amount(item) for name, item in amounts.members().items() if name in _COUNTED}


def _amount(item: Field) -> Fraction:
    # Hand-written manifests say `cpu: 1` and `cpu: 0.5`.
    is_number = isinstance(item.value, int | float) and not isinstance(item.value, bool)
    try:
        amount = parse_quantity(str(item.value) if is_number else item.text())
    except ValueError as error:
        item.problem(str(error))
        return _NONE
    if amount < 0:
        item.problem("must not be negative")
    return amount


def qos_class(demand: Demand) -> QOSClass:
    """The class as the kubelet computes it: pkg/apis/core/v1/helper/qos/qos.go ComputePodQOS.

    Pod-level resources alone decide where there are any (KEP-2837). Otherwise a class common to all containers
    is that of the pod, and any mixture is Burstable. Ephemeral containers have no resources.
    """
    if demand.pod is not None:
        return _class_of(_defaulted(demand, demand.pod))
    classes = {_class_of(resources) for resources in (*demand.containers, *(each for _, each in demand.init))}
    return classes.pop() if len(classes) == 1 else QOSClass.BURSTABLE if classes else QOSClass.BEST_EFFORT


def _class_of(resources: Resources) -> QOSClass:
    pairs = [(resources.requests.get(name, _NONE), resources.limits.get(name, _NONE)) for name in _COUNTED]
    if all(request == limit == 0 for request, limit in pairs):
        return QOSClass.BEST_EFFORT
    if all(request == limit != 0 for request, limit in pairs):
        return QOSClass.GUARANTEED
    return QOSClass.BURSTABLE


def memory_request(demand: Demand) -> int:
    """Bytes, as the scheduler counts them: k8s.io/component-helpers/resource/helpers.go PodRequests.

    A pod-level request stands for those of the containers; the overhead of the RuntimeClass comes on top.
    """
    containers = _of_containers(demand, "memory")
    request = containers if demand.pod is None else _defaulted(demand, demand.pod).requests.get("memory", containers)
    return ceil(request + demand.overhead.get("memory", _NONE))


def _of_containers(demand: Demand, name: str) -> Fraction:
    """Init containers run one by one, each beside the sidecars started before it; then all others at once."""
    running = sum((each.requests.get(name, _NONE) for each in demand.containers), _NONE)
    sidecars = peak = _NONE
    for is_sidecar, resources in demand.init:
        request = resources.requests.get(name, _NONE)
        peak = max(peak, sidecars + request)
        sidecars += request if is_sidecar else 0
    return max(running + sidecars, peak)


def _defaulted(demand: Demand, pod: Resources) -> Resources:
    """Pod-level requests that are missing, as defaults.go defaultPodRequests fills them in."""
    if not pod.limits:
        return pod
    parts = (*demand.containers, *(each for _, each in demand.init))
    asked = {name: _of_containers(demand, name) for name in _COUNTED if any(name in each.requests for each in parts)}
    return Resources({**pod.limits, **asked, **pod.requests}, pod.limits)
