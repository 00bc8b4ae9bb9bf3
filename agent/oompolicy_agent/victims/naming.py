# SPDX-License-Identifier: Apache-2.0
"""Name a victim: find its pod, container and scope, and the owners of the trigger and of the spared task. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal, overload

from oompolicy.model import QOSClass
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.cgroups import parse_outside, parse_path
from oompolicy_agent.mapping.claims import by_cgroup
from oompolicy_agent.mapping.owners import Owner, container_owner, pod_owner
from oompolicy_agent.victims.verdict import decided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oompolicy.model import Pod
    from oompolicy_agent.mapping.owners import CgroupOwners
    from oompolicy_agent.status.reasons import Scope
    from oompolicy_agent.victims.record import Process, Victim
    from oompolicy_agent.victims.verdict import Verdict

SANDBOX_SCORE_ADJ: Final = -998
"""The oom_score_adj that the kubelet gives to sandboxes, which are no container (pkg/kubelet/qos/policy.go)."""
HOST: Final = Owner("host", "/")
"""The owner of every process that is not below a kubepods root."""
UNKNOWN_POD: Final = Owner("kubepods", "/")
"""The owner of a process below a kubepods root, where the pod is unknown."""


@dataclass(frozen=True, slots=True)
class NamedVictim:
    """A victim with the owners of the processes involved.

    An owner is HOST, a container, a pod, or a kubepods slice if the pod is unknown. `trigger_owner` and `spared_owner`
    are None if the owner is unknown. `decided_by` is the owner of the entry that gave the victim its priority, or None.
    `verdict` is about the scores, on a node whose kernel calls no hook.
    """

    victim: Victim
    owner: Owner
    decided_by: Owner | None
    scope: Scope
    scope_path: str
    trigger_owner: Owner | None
    spared_owner: Owner | None
    verdict: Verdict | None = None

    @property
    def policy(self) -> str:
        """The name of the policy that gave the victim its priority. Empty if no policy did."""
        return self.decided_by.policy if self.decided_by else ""

    @property
    def complete(self) -> bool:
        """False while a pod object that arrives later could still complete the name."""
        owner = self.owner
        if not owner.cgroup_uid or (owner.pod and (owner.container or owner.kind == "pod")):
            return True
        return bool(owner.pod) and self.victim.oom_score_adj <= SANDBOX_SCORE_ADJ


def qos_class(victim: Victim) -> QOSClass | None:
    """Return the QoS class of the victim's pod, by the names of its cgroups, or None for a process of the host."""
    for name in filter(None, parse_path(victim.names)):
        if name.kind == "qos":
            return QOSClass(name.value)
        if name.kind == "pod":
            return QOSClass.GUARANTEED
    return None


def name_victim(
    victim: Victim, index: CgroupOwners, pods: Iterable[Pod], verdict: Verdict | None = None
) -> NamedVictim:
    """Return the victim with all owners. With a verdict, the victim is what that says about the scores.

    The owner is that of the nearest ancestor that `index` knows. Without one, the names in the record decide.
    """
    known = by_cgroup(pods)
    victim = decided(victim, verdict) if verdict else victim
    return NamedVictim(
        victim=victim,
        owner=_victim_owner(victim, index, known),
        decided_by=index.get(victim.priority_cgroup_id) if victim.priority_cgroup_id else None,
        scope=scope_of(victim, index),
        scope_path=_scope_path(victim),
        trigger_owner=_process_owner(victim.trigger, victim, index, known) if victim.trigger else None,
        spared_owner=_spared_owner(victim, index, known),
        verdict=verdict,
    )


def _owner(ids: Sequence[int], names: Sequence[str], index: CgroupOwners, pods: Mapping[str, Pod]) -> Owner | None:
    """Return the owner of a process in the last of the cgroups `ids`. The first of them have the `names`."""
    by_id = next(filter(None, map(index.get, reversed(ids))), None)
    # A user of the host may give cgroups any name. The kubelet names those in the tree of the pods.
    trusted = by_id or (index.blank and "user.slice" not in names)
    by_name = owner_by_names(names) if trusted else None
    # The index knows only the pod of a container that was created and killed between two scans.
    if by_id and by_name and by_id.kind == "pod" and by_name.container_id and by_id.cgroup_uid == by_name.cgroup_uid:
        return Owner("container", "/".join(names), by_id.cgroup_uid, by_name.container_id, by_id.namespace, by_id.pod,
                     by_id.pod_uid)  # fmt: skip
    if by_id and by_id.cgroup_uid:
        return by_id
    return by_name or _outside(names, index, pods) or by_id or _without_pod(ids, names, index)


def _without_pod(ids: Sequence[int], names: Sequence[str], index: CgroupOwners) -> Owner | None:
    """Return HOST only if the ancestors show it, because every user can nest cgroups to look like the host."""
    if ids and not index.blank:
        return HOST
    if any(parse_path(names)):
        return UNKNOWN_POD
    return HOST if ids and len(ids) == len(names) else None


def _victim_owner(victim: Victim, index: CgroupOwners, pods: dict[str, Pod]) -> Owner:
    owner = _completed(_owner(victim.cgroup_ids, victim.names, index, pods) or HOST, pods)
    # Only cgroups below a kubepods root have entries. The index may not know that root yet.
    return UNKNOWN_POD if owner == HOST and not victim.host_priority and not victim.logged else owner


def _process_owner(process: Process, victim: Victim, index: CgroupOwners, pods: dict[str, Pod]) -> Owner | None:
    if not process.cgroup_ids:
        return _completed(index.get(process.cgroup_id), pods)
    return _completed(_owner(process.cgroup_ids, _shared_names(process, victim), index, pods), pods)


def _shared_names(process: Process, victim: Victim) -> tuple[str, ...]:
    """Return the names of the cgroups that the process shares with the victim. The record has no others."""
    pairs = zip(process.cgroup_ids, victim.cgroup_ids, victim.names, strict=False)
    return tuple(name for _, _, name in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _spared_owner(victim: Victim, index: CgroupOwners, pods: dict[str, Pod]) -> Owner | None:
    if victim.spared is None:
        return None
    owner = _process_owner(victim.spared, victim, index, pods)
    return UNKNOWN_POD if owner in (None, HOST) and victim.flags & VictimFlag.SPARED_ENTRY else owner


def owner_by_names(names: Sequence[str]) -> Owner | None:
    """Return pod and container by the names of the cgroups alone. A cgroup below a container belongs to it."""
    values = {name.kind: name.value for name in parse_path(names) if name}
    if "pod" not in values:
        return None
    kind: Literal["container", "pod"] = "container" if "container" in values else "pod"
    return Owner(kind, "/".join(names), values["pod"], values.get("container", ""))


def _outside(names: Sequence[str], index: CgroupOwners, pods: Mapping[str, Pod]) -> Owner | None:
    """Return the container by the ids in the names, for a node with two different cgroup drivers.

    Kubelet and runtime can use different drivers. A user of the host may copy the names of a container, so a name
    counts only if the kubelet reports the id for this pod, and the cgroup of the pod has no container with that id.
    """
    uid, first = parse_outside(names) or ("", "")
    if not (pod := pods.get(uid)):
        return None
    ids = [each for container in pod.containers for each in container.container_ids if each.startswith(first)]
    if not ids or index.has_container(ids[0]):
        return None
    return container_owner(pod_owner(Owner("container", "/".join(names), uid, ids[0]), pod), pod)


@overload
def _completed(owner: Owner, pods: dict[str, Pod]) -> Owner: ...
@overload
def _completed(owner: Owner | None, pods: dict[str, Pod]) -> Owner | None: ...
def _completed(owner: Owner | None, pods: dict[str, Pod]) -> Owner | None:
    """Return the owner, completed from a pod object that arrived after the index was built."""
    pod = pods.get(owner.cgroup_uid) if owner else None
    if owner is None or pod is None:
        return owner
    owner = owner if owner.pod else pod_owner(owner, pod)
    return owner if owner.container or not owner.container_id else container_owner(owner, pod)


def scope_of(victim: Victim, index: CgroupOwners) -> Scope:
    """Return the part of the node that ran out of memory."""
    if victim.flags & VictimFlag.NO_SCOPE:
        return "Unknown"
    if victim.scope_cgroup_id == 0:
        return "Node"
    owner = index.get(victim.scope_cgroup_id)
    kind = owner.kind if owner else _kind_by_name(victim)
    scopes: dict[str, Scope] = {"container": "Container", "pod": "Pod", "qos": "Kubepods", "kubepods": "Kubepods"}
    return scopes.get(kind, "Other")


def _kind_by_name(victim: Victim) -> str:
    """Return the kind of the scope's cgroup by its name. The name counts only at the right place in the path."""
    if victim.scope_cgroup_id not in victim.cgroup_ids:
        return ""
    level = victim.cgroup_ids.index(victim.scope_cgroup_id)
    name = parse_path(victim.names[: level + 1])[-1]
    return name.kind if name else ""


def _scope_path(victim: Victim) -> str:
    if victim.scope_cgroup_id not in victim.cgroup_ids:
        return ""
    return "/".join(victim.names[: victim.cgroup_ids.index(victim.scope_cgroup_id) + 1]) or "/"
