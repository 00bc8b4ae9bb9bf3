# SPDX-License-Identifier: Apache-2.0
"""The records of the policy model: a policy, a pod, and the assignment that the pod gets.

All are frozen, compare by value and hold only values that were checked (`oompolicy.parse`).
A constructor raises `ValueError` for a priority, offset or range that no parsed policy could have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

# The label that the API server gives every namespace: its name.
NAMESPACE_NAME = "kubernetes.io/metadata.name"

# The two PriorityClasses that every cluster has (pkg/apis/scheduling/types.go).
NODE_CRITICAL_CLASS = "system-node-critical"
CLUSTER_CRITICAL_CLASS = "system-cluster-critical"

# Higher is safer. The BPF map has an s32, so the range is ours to choose: it is that of memory.oom.priority in
# the kernel series the hook comes from, and room enough to leave gaps between classes.
MIN_PRIORITY = 0
MAX_PRIORITY = 1000
MIN_OFFSET = MIN_PRIORITY - MAX_PRIORITY
MAX_OFFSET = MAX_PRIORITY - MIN_PRIORITY
MIN_PRECEDENCE = 0
MAX_PRECEDENCE = 1_000_000
DEFAULT_PRECEDENCE = 0

FINISHED_PHASES = frozenset({"Succeeded", "Failed"})
"""The phases in which a pod no longer has a cgroup."""

ContainerKind = Literal["container", "init", "sidecar", "ephemeral"]
Source = Literal["policy", "annotation", "default"]

MAX_REFUSALS = 10
"""The number of refused annotations of one pod that are described. A pod can have 13,000 of them."""


def within_priorities(value: int) -> bool:
    """Return True if `value` is a priority."""
    return MIN_PRIORITY <= value <= MAX_PRIORITY


def _require_priorities(record: str, *values: int | None) -> None:
    wrong = [value for value in values if value is not None and not within_priorities(value)]
    if wrong:
        raise ValueError(f"{record}: {wrong[0]} is outside {MIN_PRIORITY}..{MAX_PRIORITY}")


class QOSClass(StrEnum):
    """The QoS class of a pod, spelt as in `status.qosClass`."""

    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = "BestEffort"


class KillScope(StrEnum):
    """The processes that the kernel kills together with the chosen one, spelt as in `spec.killScope`."""

    CONTAINER = "Container"
    POD = "Pod"
    PROCESS = "Process"


class Operator(StrEnum):
    """The operators of a Kubernetes label selector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. `values` is empty for `Exists` and `DoesNotExist`."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A label selector. All requirements must hold, and no requirement at all selects everything.

    An entry of `matchLabels` is a requirement `In` with one value.
    """

    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The pods that a policy selects. All parts must hold. A part that is `None` always holds."""

    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None
    qos_classes: frozenset[QOSClass] | None = None
    priority_class_names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class FixedPriority:
    """The priority of `priority.value`, the same for every pod."""

    value: int

    def __post_init__(self) -> None:
        _require_priorities("value", self.value)


@dataclass(frozen=True, slots=True)
class ByQOSClass:
    """The priorities of `priority.byQOSClass`. A class without a value has the default."""

    guaranteed: int | None = None
    burstable: int | None = None
    best_effort: int | None = None

    def __post_init__(self) -> None:
        _require_priorities("byQOSClass", self.guaranteed, self.burstable, self.best_effort)


@dataclass(frozen=True, slots=True)
class ByPriorityClass:
    """The priorities of `priority.byPriorityClass`, by the name of the PriorityClass.

    `default` is for all other pods. If it is `None`, they have the default of their QoS class.
    """

    values: Mapping[str, int] = field(default_factory=dict, hash=False)
    default: int | None = None

    def __post_init__(self) -> None:
        _require_priorities("byPriorityClass", self.default, *self.values.values())


Priority = FixedPriority | ByQOSClass | ByPriorityClass


@dataclass(frozen=True, slots=True)
class ContainerOffset:
    """A number that is added to the pod's priority for the container of this name, of any kind."""

    name: str
    offset: int

    def __post_init__(self) -> None:
        if not MIN_OFFSET <= self.offset <= MAX_OFFSET:
            raise ValueError(f"offset of {self.name}: {self.offset} is outside {MIN_OFFSET}..{MAX_OFFSET}")


@dataclass(frozen=True, slots=True)
class Override:
    """The range that a pod's annotations may ask for, both ends included."""

    min: int
    max: int

    def __post_init__(self) -> None:
        _require_priorities("override", self.min, self.max)
        if self.min > self.max:
            raise ValueError(f"override: min {self.min} is above max {self.max}")

    def allows(self, value: int) -> bool:
        """Return True if an annotation may ask for `value`."""
        return self.min <= value <= self.max

    def __str__(self) -> str:
        return f"{self.min}..{self.max}"


@dataclass(frozen=True, slots=True)
class OOMPolicy:
    """One OOMPolicy object. A policy from a hand-written file has `generation` 0 and `uid` `None`.

    Without a kill scope, the setting of the kubelet stays.
    """

    name: str
    generation: int
    uid: str | None
    precedence: int
    match: Match
    priority: Priority
    containers: tuple[ContainerOffset, ...] = ()
    override: Override | None = None
    kill_scope: KillScope | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace and its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod.

    `container_ids` are the runtime's ids without `containerd://`: the current one, then the id of the last run.
    The tuple is empty before the first start.
    `memory_request` is in bytes, and 0 if the container has none.
    `running` is true if the kubelet reports that the container with the first of these ids runs.
    """

    name: str
    kind: ContainerKind
    container_ids: tuple[str, ...] = ()
    memory_request: int = 0
    running: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A field of a pod, such as `spec.overhead`, that cannot be read. `message` is a sentence for the pod's owner."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """The origin of a mirror pod, as far as its object shows it (`oompolicy.mirror`).

    `by_node` is true if the controlling owner of the pod is the Node that the pod is on.
    `created` is `metadata.creationTimestamp`, an RFC 3339 time in UTC with whole seconds, so the texts sort as the
    times do. The API server sets it on each object. It is empty only in a hand-written file.
    """

    by_node: bool
    created: str

    @property
    def static(self) -> bool:
        """True if the node owns the pod, or if the pod comes from a hand-written file."""
        return self.by_node or not self.created


@dataclass(frozen=True, slots=True)
class Pod:
    """The parts of a pod that resolution and the agent need. A field that the object does not have is `None`.

    `cgroup_uid` is the uid in the name of the pod's cgroup. For a static pod this is the uid of its manifest
    (annotation `kubernetes.io/config.mirror`), not the uid of the mirror object.
    `containers` are in the order of starting: init and sidecar, then regular, then ephemeral.
    `memory_request` is in bytes, as the scheduler counts it, overhead included.
    `mirror` is None for a pod that is no mirror pod.
    `annotations_left_out` is the number of oompolicy annotations that the object has and `annotations` does not have:
    they are refused, and enough refusals are described already.
    `unread` has the fields of a pod of the API server that cannot be read.
    `kind` is `Pod`, or the kind of the workload, such as Deployment, whose template describes the pod.
    """

    uid: str
    namespace: str
    name: str
    node_name: str | None
    labels: Mapping[str, str] = field(hash=False)
    annotations: Mapping[str, str] = field(hash=False)
    qos_class: QOSClass
    priority_class_name: str | None
    containers: tuple[Container, ...]
    cgroup_uid: str
    phase: str | None
    memory_request: int
    mirror: Mirror | None = None
    annotations_left_out: int = 0
    unread: tuple[Unread, ...] = ()
    kind: str = "Pod"

    @property
    def static(self) -> bool:
        """True for a static pod, as far as its object shows it."""
        return self.mirror is not None and self.mirror.static

    @property
    def finished(self) -> bool:
        """True if the pod is in a phase in which it no longer has a cgroup."""
        return self.phase in FINISHED_PHASES


@dataclass(frozen=True, slots=True)
class Refusal:
    """An annotation that is refused. `message` is a sentence for the pod's owner that gives the reason."""

    annotation: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class ContainerAssignment:
    """The priority of one container."""

    name: str
    kind: ContainerKind
    priority: int
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The priority of one pod and its containers.

    `source` is the origin of the pod's priority. It is `policy` if a policy matches, even if that policy has no value
    for the pod's class, so that the default applies. `reason` shows the difference.
    `overlapping` has the names of the other policies that match with the winner's precedence, sorted.
    `refusals` describes at most `MAX_REFUSALS` annotations, and `more_refusals` is the number of the others.
    The pod's owner receives `refusals` and `unread` as Events.
    `kind` is that of the pod.
    `kill_scope` is that of the policy, also if an annotation sets the priority. None changes nothing on the node.
    """

    pod_uid: str
    cgroup_uid: str
    namespace: str
    pod_name: str
    priority: int
    reason: str
    source: Source
    policy: str | None = None
    policy_uid: str | None = None
    overlapping: tuple[str, ...] = ()
    containers: tuple[ContainerAssignment, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    more_refusals: int = 0
    unread: tuple[Unread, ...] = ()
    kind: str = "Pod"
    kill_scope: KillScope | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """The priorities of pods to which no policy gives one: by QoS class, except for critical pods.

    Without arguments these are the built-in defaults, which `spec.defaults` of OOMSettings can replace.

    `node_critical` is for static pods and PriorityClass system-node-critical, `cluster_critical` for
    PriorityClass system-cluster-critical. Both ignore the QoS class.
    """

    guaranteed: int = 800
    burstable: int = 500
    best_effort: int = 200
    node_critical: int = 1000
    cluster_critical: int = 1000

    def __post_init__(self) -> None:
        by_qos_class = (self.guaranteed, self.burstable, self.best_effort)
        _require_priorities("defaults", *by_qos_class, self.node_critical, self.cluster_critical)

    def of(self, qos_class: QOSClass) -> int:
        """Return the default of one QoS class, for a pod that is not critical."""
        return {
            QOSClass.GUARANTEED: self.guaranteed,
            QOSClass.BURSTABLE: self.burstable,
            QOSClass.BEST_EFFORT: self.best_effort,
        }[qos_class]
