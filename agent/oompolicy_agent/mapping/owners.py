# SPDX-License-Identifier: Apache-2.0
"""Remember the owner of each cgroup. A victim can be named after its cgroup no longer exists, and after a restart."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from oompolicy.model import KillScope, QOSClass, within_priorities
from oompolicy_agent.mapping.cgroups import is_of_static_pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.mapping.cgroups import PodCgroup, SliceCgroup, Tree

TOMBSTONES: Final = 4096
"""The number of removed cgroups to remember: over ten minutes at 100 pods a minute with three cgroups each."""
TOMBSTONE_SECONDS: Final = 1800.0
"""Seconds to remember a removed cgroup, far longer than the delay of a report without a restart."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a cgroup. `pod_uid` is the uid of the API object, and `cgroup_uid` the uid in the cgroup's name.

    `pod` and `container` are empty while no pod object names them. `reason` is the source of `priority`.
    `memory_request` is in bytes, as in the entry of the cgroup. `kill_scope` is that of a pod, and empty without one.
    """

    kind: Literal["host", "kubepods", "qos", "pod", "container"]
    path: str
    cgroup_uid: str = ""
    container_id: str = ""
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""
    container_kind: str = ""
    priority: int | None = None
    reason: str = ""
    policy: str = ""
    policy_uid: str = ""
    memory_request: int = 0
    kill_scope: str = ""


_UNTIL_KNOWN: Final = "the default for static pods, because the API server has no mirror pod yet"
_FIELDS: Final = tuple(field.name for field in fields(Owner))


class CgroupOwners:
    """The owners of existing and of removed cgroups, by cgroup id."""

    def __init__(self) -> None:
        self._present: dict[int, Owner] = {}
        self._gone: dict[int, tuple[Owner, float]] = {}
        self._by_path: Mapping[str, int] | None = None

    def get(self, cgroup_id: int) -> Owner | None:
        """Return the owner of an existing or removed cgroup, or None."""
        if owner := self._present.get(cgroup_id):
            return owner
        gone = self._gone.get(cgroup_id)
        return gone[0] if gone else None

    def id_at(self, path: str) -> int | None:
        """Return the id of the cgroup that is, or was, at this path, or None. Of two, the newest counts."""
        if self._by_path is None:
            gone = {owner.path: cgroup_id for cgroup_id, (owner, _) in self._gone.items()}
            self._by_path = {**gone, **{owner.path: cgroup_id for cgroup_id, owner in self._present.items()}}
        return self._by_path.get(path)

    @property
    def blank(self) -> bool:
        """True if no cgroup at all is known, for example for another boot."""
        return not self._present and not self._gone

    def has_container(self, container_id: str) -> bool:
        """Return True if the cgroup of a pod has, or had, this container."""
        every = [*self._present.values(), *(owner for owner, _ in self._gone.values())]
        return any(owner.container_id == container_id for owner in every)

    def update(self, owners: Mapping[int, Owner], now: float) -> bool:
        """Take a new snapshot. Return True if anything changed. `now` is in seconds of a monotonic clock."""
        merged = {cgroup_id: _keep_name(self.get(cgroup_id), owner) for cgroup_id, owner in owners.items()}
        changed = merged != self._present
        for cgroup_id, owner in self._present.items():
            if cgroup_id not in merged:
                self._gone[cgroup_id] = owner, now
        self._present = merged
        self._prune(now)
        return changed

    def dump(self) -> str:
        """Return the JSON for the checkpoint."""
        everything = {**{i: owner for i, (owner, _) in self._gone.items()}, **self._present}
        return json.dumps([{"id": i, **_plain(owner)} for i, owner in everything.items()])

    def restore(self, items: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take over the owners of an earlier agent of this boot. They count as removed until a snapshot has them."""
        for item in items:
            cgroup_id, known = item.get("id"), {key: value for key, value in item.items() if key in _FIELDS}
            if isinstance(cgroup_id, int) and _valid(known):
                self._gone[cgroup_id] = Owner(**known), now
        self._prune(now)

    def _prune(self, now: float) -> None:
        self._by_path = None
        for cgroup_id in [i for i in self._gone if i in self._present]:
            del self._gone[cgroup_id]
        for cgroup_id in [i for i, (_, since) in self._gone.items() if now - since > TOMBSTONE_SECONDS]:
            del self._gone[cgroup_id]
        for cgroup_id in list(self._gone)[: max(0, len(self._gone) - TOMBSTONES)]:
            del self._gone[cgroup_id]


class _PodOwners(NamedTuple):
    """The owners of one pod's cgroups, and the objects that they were found from."""

    cgroup: PodCgroup
    pod: Pod | None
    assignment: Assignment | None
    default: int | None
    owners: dict[int, Owner]


class OwnerFinder:
    """The finder of owners. A pod without a change keeps its owners, so the cost depends only on the changes."""

    def __init__(self) -> None:
        self._known: dict[str, _PodOwners] = {}

    def of(
        self, tree: Tree, pods: Iterable[Pod], assignments: Iterable[Assignment], defaults: Defaults
    ) -> dict[int, Owner]:
        """Return the owner of every cgroup of `tree`."""
        assigned = {a.cgroup_uid: a for a in assignments}
        known = {pod.cgroup_uid: pod for pod in pods}
        self._known = {
            uid: self._pod(
                uid,
                cgroup,
                known.get(uid),
                assigned.get(uid),
                defaults.node_critical if is_of_static_pod(uid) else None,
            )
            for uid, cgroup in tree.pods.items()
        }
        found = {s.id: _slice_owner(s, defaults) for s in tree.slices}
        for each in self._known.values():
            found.update(each.owners)
        return found

    def _pod(
        self, uid: str, cgroup: PodCgroup, pod: Pod | None, assignment: Assignment | None, default: int | None
    ) -> _PodOwners:
        """`default` is the priority of a static pod without an object, and None for any other pod."""
        before, facts = self._known.get(uid), (cgroup, default)
        if (
            before
            and before.pod is pod
            and before.assignment is assignment
            and facts == (before.cgroup, before.default)
        ):
            return before
        owners = dict(_pod_owners(uid, cgroup, pod, assignment, default))
        return _PodOwners(cgroup, pod, assignment, default, owners)


def container_owner(owner: Owner, pod: Pod) -> Owner:
    """Return `owner` with the name of the container, if `pod` has a container of its id."""
    for container in pod.containers:
        if owner.container_id in container.container_ids:
            named = replace(owner, container=container.name, container_kind=container.kind)
            return replace(named, memory_request=container.memory_request)
    return owner


def pod_owner(owner: Owner, pod: Pod) -> Owner:
    """Return `owner` with the name of the pod."""
    return replace(owner, namespace=pod.namespace, pod=pod.name, pod_uid=pod.uid)


def _slice_owner(cgroup: SliceCgroup, defaults: Defaults) -> Owner:
    qos = cgroup.qos or QOSClass.GUARANTEED
    kind: Literal["qos", "kubepods"] = "qos" if cgroup.qos else "kubepods"
    return Owner(kind, cgroup.path, priority=defaults.of(qos), reason=f"the default for {qos} pods")


def _pod_owners(
    uid: str, cgroup: PodCgroup, pod: Pod | None, assignment: Assignment | None, default: int | None
) -> Iterator[tuple[int, Owner]]:
    owner = Owner("pod", cgroup.path, cgroup_uid=uid)
    if pod is None and default is not None:
        owner = replace(owner, priority=default, reason=_UNTIL_KNOWN)
    if pod:
        owner = replace(pod_owner(owner, pod), memory_request=pod.memory_request)
    if assignment:
        owner = replace(owner, priority=assignment.priority, reason=assignment.reason)
        owner = replace(owner, policy=assignment.policy or "", policy_uid=assignment.policy_uid or "")
    scope = assignment.kill_scope if assignment else None
    yield cgroup.id, replace(owner, kill_scope=scope.value) if scope else owner
    priorities = {c.name: c for c in assignment.containers} if assignment else {}
    for container_id, directory in cgroup.containers.items():
        container = replace(owner, kind="container", path=directory.path, container_id=container_id)
        container = container_owner(container, pod) if pod else container
        if own := priorities.get(container.container):
            container = replace(container, priority=own.priority, reason=own.reason)
        yield directory.id, container


def _keep_name(old: Owner | None, new: Owner) -> Owner:
    """Return the new owner, with the names of the old one if the pod object disappeared before the cgroup."""
    return old if old and old.pod and not new.pod else new


def _valid(known: Mapping[str, Any]) -> bool:
    """Return True if `known` can become an Owner. Its values may return into the map and into the kill groups."""
    priority, request = known.get("priority"), known.get("memory_request", 0)
    return (
        {"kind", "path"} <= set(known)
        and (priority is None or (type(priority) is int and within_priorities(priority)))
        and (type(request) is int and 0 <= request < 1 << 64)
        and all(isinstance(known[key], str) for key in set(known) - {"priority", "memory_request"})
        and known.get("kill_scope", "") in ("", *KillScope)
    )


def _plain(owner: Owner) -> dict[str, Any]:
    # Not asdict(), which copies in depth: with 110 pods that was half of the cost of a checkpoint.
    return {key: value for key in _FIELDS if (value := getattr(owner, key)) not in ("", None)}
