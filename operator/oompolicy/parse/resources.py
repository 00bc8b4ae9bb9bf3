# SPDX-License-Identifier: Apache-2.0
"""Compute a pod's QoS class and memory request from the resources of its parts.

A hand-written pod is first completed as the API server completes it (pkg/apis/core/v1/defaults.go), which changes
nothing in a pod that comes from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Final

from oompolicy.model import QOSClass
from oompolicy.parse.fields import Field
from oompolicy.parse.quantity import MAX_QUANTITY, read_quantity

_COUNTED: Final = ("cpu", "memory")
_HUGE_PAGES: Final = "hugepages-"
_NONE: Final = Fraction(0)
_MILLI: Final = 1000


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of cpu, memory and huge pages, by name, in cores and bytes."""

    requests: Mapping[str, Fraction] = field(default_factory=dict, hash=False)
    limits: Mapping[str, Fraction] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Demand:
    """The resources of all parts of a pod. `init` has pairs (is a sidecar, resources), in order."""

    init: Sequence[tuple[bool, Resources]]
    containers: Sequence[Resources]
    pod: Resources | None = None
    overhead: Mapping[str, Fraction] = field(default_factory=dict, hash=False)

    @property
    def parts(self) -> tuple[Resources, ...]:
        """All containers that can have resources."""
        return (*self.containers, *(each for _, each in self.init))


def read_resources(resources: Field) -> Resources:
    """Return the `resources` of a container. A limit without a request is the request too.

    The API server completes each pod in this way (pkg/apis/core/v1/defaults.go SetDefaults_Pod), and a hand-written pod
    has not passed it.
    """
    limits = read_amounts(resources.child("limits"))
    return Resources({**limits, **read_amounts(resources.child("requests"))}, limits)


def read_pod_resources(resources: Field) -> Resources | None:
    """Return `spec.resources` of a pod as written, or None."""
    if not resources or resources.value is None:
        return None
    return Resources(read_amounts(resources.child("requests")), read_amounts(resources.child("limits")))


def read_amounts(amounts: Field) -> dict[str, Fraction]:
    """Return the quantities of cpu, memory and huge pages by resource name."""
    if not amounts or amounts.value is None:
        return {}
    return {
        name: read_amount(item)
        for name, item in amounts.members().items()
        if name in _COUNTED or name.startswith(_HUGE_PAGES)
    }


def read_amount(item: Field) -> Fraction:
    """Return the quantity. Report one that is negative or cannot be read, and count it as 0."""
    # Hand-written manifests say `cpu: 1` and `cpu: 0.5`.
    is_number = isinstance(item.value, int | float) and not isinstance(item.value, bool)
    if not is_number and not isinstance(item.value, str | None):
        item.text()
        return _NONE
    try:
        amount = read_quantity(None if item.value is None else str(item.value))
    except ValueError as error:
        item.problem(str(error))
        return _NONE
    if amount < 0:
        item.problem("must not be negative")
    return max(amount, _NONE)


def qos_class(demand: Demand) -> QOSClass:
    """Return the class as the kubelet computes it: pkg/apis/core/v1/helper/qos/qos.go ComputePodQOS.

    Pod-level resources alone decide where there are any (KEP-2837). Ephemeral containers have no resources.
    """
    stored = _as_stored(demand)
    parts = stored.parts if stored.pod is None else (stored.pod,)
    requests, limits = (_positive_sums(each) for each in ([p.requests for p in parts], [p.limits for p in parts]))
    if not requests and not limits:
        return QOSClass.BEST_EFFORT
    limited = all(part.limits.get(name, _NONE) > 0 for part in parts for name in _COUNTED)
    return QOSClass.GUARANTEED if limited and requests == limits else QOSClass.BURSTABLE


def _positive_sums(amounts: Sequence[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    sums = {name: sum((each.get(name, _NONE) for each in amounts), _NONE) for name in _COUNTED}
    return {name: amount for name, amount in sums.items() if amount > 0}


def memory_request(demand: Demand) -> int:
    """Return the memory request in bytes, as the scheduler counts it (PodRequests).

    The rules are in k8s.io/component-helpers/resource/helpers.go.

    A pod-level request replaces the requests of the containers. The overhead of the RuntimeClass is added. The
    result is at most 2^63-1.
    """
    stored = _as_stored(demand)
    request = _of_containers(stored, "memory")
    if stored.pod is not None:
        request = stored.pod.requests.get("memory", request)
    return min(ceil(request + stored.overhead.get("memory", _NONE)), MAX_QUANTITY)


def _of_containers(demand: Demand, name: str) -> Fraction:
    """Return the peak request.

    Init containers run one by one, each beside the sidecars started before it. Then all other containers run together.
    """
    running = sum((each.requests.get(name, _NONE) for each in demand.containers), _NONE)
    sidecars = peak = _NONE
    for is_sidecar, resources in demand.init:
        request = resources.requests.get(name, _NONE)
        peak = max(peak, sidecars + request)
        sidecars += request if is_sidecar else 0
    return max(running + sidecars, peak)


def _as_stored(demand: Demand) -> Demand:
    """Return the demand as the API server stores it: completed, then rounded up to milli."""
    pod = _defaulted(demand)
    return Demand(
        [(is_sidecar, _rounded(each)) for is_sidecar, each in demand.init],
        [_rounded(each) for each in demand.containers],
        _rounded(pod) if pod is not None else None,
        _to_milli(demand.overhead),
    )


def _rounded(resources: Resources) -> Resources:
    return Resources(_to_milli(resources.requests), _to_milli(resources.limits))


def _to_milli(amounts: Mapping[str, Fraction]) -> dict[str, Fraction]:
    return {name: Fraction(ceil(amount * _MILLI), _MILLI) for name, amount in amounts.items()}


def _defaulted(demand: Demand) -> Resources | None:
    """Return the pod-level resources with missing requests filled in (defaultPodRequests), if the pod has any limit.

    Limits of huge pages count as the pod's where only containers have them (defaultHugePagePodLimits).
    """
    pod = demand.pod
    if pod is None or not (pod.requests or pod.limits):
        return pod
    limits = {**_huge_pages(demand, pod), **pod.limits}
    if not limits:
        return pod
    asked = {
        name: _of_containers(demand, name) for name in _COUNTED if any(name in each.requests for each in demand.parts)
    }
    return replace(pod, requests={**limits, **asked, **pod.requests}, limits=limits)


def _huge_pages(demand: Demand, pod: Resources) -> dict[str, Fraction]:
    names = {name for each in demand.parts for name in each.limits if name.startswith(_HUGE_PAGES)}
    # Only the existence of a limit matters here, not its amount.
    return dict.fromkeys(names - pod.requests.keys(), _NONE)
