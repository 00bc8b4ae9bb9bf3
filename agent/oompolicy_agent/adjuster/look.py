# SPDX-License-Identifier: Apache-2.0
"""One look at the node: the groups to score, the scopes with their host processes, and the groups to restore."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster import memory
from oompolicy_agent.adjuster.badness import PROTECTED, SMALLEST, STARTING, Scope, Span
from oompolicy_agent.adjuster.group import Group
from oompolicy_agent.mapping.cgroups import find_roots
from oompolicy_agent.mapping.cgroupwalk import MOST_CGROUPS, CgroupWalk
from oompolicy_agent.plumbing.files import content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

    from oompolicy_agent.adjuster.group import Process
    from oompolicy_agent.adjuster.memory import Memory
    from oompolicy_agent.adjuster.processes import Processes
    from oompolicy_agent.adjuster.wanted import Wanted
    from oompolicy_agent.mapping.cgroupwalk import Cgroup


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the node.

    `wanted` are the groups of pods with a priority, and `others` those without one.
    `cgroups` has the ids of all cgroups of pods, with and without processes. `roots` are the kubepods cgroups.
    `host` has all processes outside of the wanted groups. `inside` has the cgroups of pods in a scope, by its name.
    `complete` is False if some cgroups of pods were not read. `crowded` has the names of the pods' cgroups with more
    cgroups than a look reads.
    """

    wanted: tuple[Group, ...]
    others: tuple[Group, ...]
    scopes: tuple[Scope, ...]
    cgroups: frozenset[int]
    roots: tuple[str, ...]
    host: tuple[Process, ...] = ()
    inside: Mapping[str, frozenset[int]] = field(default_factory=dict)
    complete: bool = True
    crowded: tuple[str, ...] = ()


def take(root: Path, processes: Processes, wanted: Wanted, most: int | None = MOST_CGROUPS) -> Look:
    """Look at all pods and host processes. OSError if the tree or /proc cannot be read at all.

    `most` is the largest number of cgroups that are read of one pod, or None.
    """
    roots = find_roots(root)
    walk = CgroupWalk(wanted.cgroups, most)
    cgroups: list[Cgroup] = []
    groups: dict[Cgroup, Group] = {}
    for each in roots:
        for cgroup, folder in walk.below(each):
            cgroups.append(cgroup)
            group = _group(cgroup, folder, processes, wanted.host_priority)
            if group:
                groups[cgroup] = group
    processes.errors.update(walk.errors)
    chosen = {cgroup: group for cgroup, group in groups.items() if cgroup.priority is not None}
    scored = {process.id.pid for group in chosen.values() for process in group.processes}
    all_pids = processes.all_pids()
    host = processes.read(pid for pid in all_pids if pid not in scored)
    processes.keep(all_pids)
    unlisted = {cgroup: group for cgroup, group in groups.items() if cgroup.priority is None}
    outside = _outside(host, unlisted, processes, set(walk.crowded)) if walk.crowded else host
    scopes = tuple(_scopes(roots, outside, unlisted))
    return Look(
        tuple(chosen.values()),
        tuple(unlisted.values()),
        scopes,
        frozenset(each.id for each in cgroups),
        roots,
        tuple(host),
        _inside(scopes, cgroups),
        walk.complete,
        tuple(walk.crowded),
    )


def _outside(
    host: Iterable[Process], unlisted: Mapping[Cgroup, Group], processes: Processes, crowded: Set[str]
) -> list[Process]:
    """Return the processes without those that are in no group because the cgroups of their pod were not all read."""
    grouped = {process.id for group in unlisted.values() for process in group.processes}
    return [each for each in host if each.id in grouped or not processes.is_in(each, crowded)]


def _group(cgroup: Cgroup, folder: int, processes: Processes, host_priority: int) -> Group | None:
    """Return the processes that may be scored, or None if there are none, as in a sandbox."""
    listed = _pids(folder)
    found = processes.read(listed)
    # A pid that was used again since then belongs to a process of another cgroup.
    still = set(_pids(folder)) if listed else set()
    processes.expect(pid for pid in listed if pid in still)
    scorable = tuple(each for each in found if each.id.pid in still and each.score > PROTECTED)
    if not scorable:
        return None
    return Group(cgroup.id, host_priority if cgroup.priority is None else cgroup.priority, scorable)


def _pids(folder: int) -> list[int]:
    try:
        return [int(line) for line in content("cgroup.procs", folder).split()]
    except OSError:
        # It vanished, or its processes are listed in the cgroup above it (a threaded cgroup).
        return []


def _scopes(roots: Sequence[str], host: Iterable[Process], unlisted: Mapping[Cgroup, Group]) -> Iterator[Scope]:
    """Yield the scope of the node, and that of each kubepods cgroup with a limit."""
    yield _scope("Node", memory.of_node(), host)
    for root in roots:
        limited = memory.of_cgroup(Path(root))
        if limited and limited.total >= SMALLEST:
            inside = [each for cgroup, group in unlisted.items() if cgroup.root == root for each in group.processes]
            yield _scope("Kubepods", limited, inside)


def _inside(scopes: Sequence[Scope], cgroups: Sequence[Cgroup]) -> dict[str, frozenset[int]]:
    """Return the cgroups of each scope. On a node with two trees of pods, the scope of one tree has no unique name."""
    inside = {"Node": frozenset(each.id for each in cgroups)}
    if len({each.root for each in cgroups}) == 1 and any(scope.name == "Kubepods" for scope in scopes):
        inside["Kubepods"] = inside["Node"]
    return inside


def _scope(name: str, found: Memory, host: Iterable[Process]) -> Scope:
    bare = Scope(name, found.total)
    points = [bare.badness(each.usage, each.score) for each in host if each.score > PROTECTED]
    return replace(bare, host=STARTING | Span(min(points), max(points))) if points else bare
