# SPDX-License-Identifier: Apache-2.0
"""Collect the facts about the node's containers from the state of the agent and the cgroup tree."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.order.facts import NodeFacts, Running
from oompolicy.order.rank import KUBEPODS, NODE, POD
from oompolicy.order.stock import score_of
from oompolicy.resolve.assign import is_permission
from oompolicy.timestamps import api_time
from oompolicy_agent.adjuster import memory
from oompolicy_agent.order.usage import dies_as_a_whole, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oompolicy.model import Pod
    from oompolicy.oomsettings import Mode, ProgramSettings
    from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, Tree
    from oompolicy_agent.mapping.owners import CgroupOwners, Owner
    from oompolicy_agent.order.held import Held

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_CAPACITY: Final = os.sysconf("SC_PHYS_PAGES") * _PAGE
"""The memory of the node in bytes, from which the kubelet computes scores."""


class State(NamedTuple):
    """The state of the agent at the time of a request. Other threads replace its parts as a whole."""

    node: str
    mode: Mode | None
    backend: str
    enforcing: bool
    program: ProgramSettings
    host_priority: int
    tree: Tree
    pods: tuple[Pod, ...]
    owners: CgroupOwners
    margins: Mapping[int, int]
    """The margin of each priority in bytes, on a node with scores."""
    held: Held


def collect(state: State) -> NodeFacts:
    """Return the facts of now. Raise OSError if the memory of a container cannot be read."""
    objects = {pod.cgroup_uid: pod for pod in state.pods}
    found: list[Running] = []
    totals, unlisted = dict(_totals(state.tree)), 0
    for uid, cgroup in state.tree.pods.items():
        pod = state.owners.get(cgroup.id)
        if pod is None or not pod.pod:
            unlisted += usage_of(Path(cgroup.path)) is not None
            continue
        found += _rows(cgroup, pod, objects.get(uid), state)
        if limited := memory.of_cgroup(Path(cgroup.path)):
            totals[f"{POD}{pod.namespace}/{pod.pod}"] = limited.total * _PAGE
    return NodeFacts(
        node=state.node,
        mode=state.mode,
        backend=state.backend or None,
        enforcing=state.enforcing,
        containers=tuple(found),
        time=api_time(datetime.now(UTC)),
        host_priority=state.host_priority,
        tie_break=state.program.tie_break,
        minimum_victim_memory=state.program.minimum_victim_memory,
        totals=totals,
        unlisted=unlisted,
        holding=state.held.where,
        held_problem=state.held.problem,
    )


def _rows(cgroup: PodCgroup, pod: Owner, known: Pod | None, state: State) -> Iterator[Running]:
    """Yield the containers of a pod that have a name, or else the pod as a whole. The sandbox has no name."""
    above = [cgroup.id, *_slices_above(cgroup, state.tree)]
    named = [
        (each.path, owner, [each.id, *above])
        for each in cgroup.containers.values()
        if (owner := _named(each, state.owners))
    ]
    whole = usage_of(Path(cgroup.path)) if dies_as_a_whole(Path(cgroup.path)) else None
    for path, owner, ids in named or [(cgroup.path, pod, above)]:
        if row := _row(path, owner, known, state.margins):
            priority, score = state.held.of(path, ids)
            yield replace(row, held=priority, held_score=score, pod_usage=whole.charged if whole else None)


def _slices_above(cgroup: PodCgroup, tree: Tree) -> list[int]:
    """Return the cgroups above a pod that have an entry, the nearest first."""
    above = [each for each in tree.slices if cgroup.path.startswith(f"{each.path}/")]
    return [each.id for each in sorted(above, key=lambda each: -len(each.path))]


def _named(directory: CgroupDir, owners: CgroupOwners) -> Owner | None:
    owner = owners.get(directory.id)
    return owner if owner and owner.container else None


def _row(path: str, owner: Owner, known: Pod | None, margins: Mapping[int, int]) -> Running | None:
    used = usage_of(Path(path))
    if used is None or owner.priority is None:
        return None
    return Running(
        namespace=owner.namespace,
        pod=owner.pod,
        container=owner.container or None,
        priority=owner.priority,
        source=source_of(owner),
        policy=owner.policy or None,
        reason=owner.reason,
        memory_request=owner.memory_request,
        memory=used.freed,
        usage=used.charged,
        # A pod that runs on without its object has unknown resources.
        score=score_of(known, owner.container or None, _CAPACITY) if known else None,
        margin=margins.get(owner.priority),
        uid=owner.pod_uid or None,
    )


def source_of(owner: Owner) -> str:
    """Return the source of a container's priority, as an assignment names it."""
    if is_permission(owner.reason):
        return "annotation"
    return "policy" if owner.policy else "default"


def _totals(tree: Tree) -> Iterator[tuple[str, int]]:
    yield NODE, memory.of_node().total * _PAGE
    for root in tree.roots:
        if limited := memory.of_cgroup(Path(root)):
            yield KUBEPODS, limited.total * _PAGE
