# SPDX-License-Identifier: Apache-2.0
"""One look at the node: the groups to score, the scopes with their host processes, and the groups to restore."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.adjuster import memory
from oompolicy_agent.adjuster.badness import PROTECTED, SMALLEST, STARTING, Scope, Span
from oompolicy_agent.adjuster.group import Group
from oompolicy_agent.mapping.cgroups import find_roots
from oompolicy_agent.plumbing.files import content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from oompolicy_agent.adjuster.group import Process
    from oompolicy_agent.adjuster.memory import Memory
    from oompolicy_agent.adjuster.processes import Processes
    from oompolicy_agent.adjuster.wanted import Wanted

_GONE: Final = {errno.ENOENT, errno.ENODEV}
_CHILDLESS: Final = 2
"""The links of a folder without folders: its name, and its own dot. The kernel counts so in its cgroup tree."""


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the node.

    `wanted` are the groups of pods with a priority, and `others` those without one.
    `cgroups` has the ids of all cgroups of pods, with and without processes. `roots` are the kubepods cgroups.
    `host` has all processes outside of the wanted groups. `inside` has the cgroups of pods in a scope, by its name.
    """

    wanted: tuple[Group, ...]
    others: tuple[Group, ...]
    scopes: tuple[Scope, ...]
    cgroups: frozenset[int]
    roots: tuple[str, ...]
    host: tuple[Process, ...] = ()
    inside: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Cgroup:
    """A cgroup of pods, with the priority of the nearest entry. `root` is the kubepods cgroup above it."""

    id: int
    path: str
    root: str
    priority: int | None


def take(root: Path, processes: Processes, wanted: Wanted) -> Look:
    """Look at all pods and host processes. OSError if the tree or /proc cannot be read at all."""
    roots = find_roots(root)
    cgroups = [found for each in roots for found in _walk(each, wanted.cgroups)]
    groups = {each: group for each in cgroups if (group := _group(each, processes, wanted.host_priority))}
    chosen = {cgroup: group for cgroup, group in groups.items() if cgroup.priority is not None}
    scored = {process.id.pid for group in chosen.values() for process in group.processes}
    all_pids = processes.all_pids()
    host = processes.read(pid for pid in all_pids if pid not in scored)
    processes.keep(all_pids)
    unlisted = {cgroup: group for cgroup, group in groups.items() if cgroup.priority is None}
    scopes = tuple(_scopes(roots, host, unlisted))
    return Look(
        tuple(chosen.values()),
        tuple(unlisted.values()),
        scopes,
        frozenset(each.id for each in cgroups),
        roots,
        tuple(host),
        _inside(scopes, cgroups),
    )


def _walk(root: str, entries: Mapping[int, int]) -> Iterator[_Cgroup]:
    """Yield a kubepods cgroup and all cgroups below it. A cgroup that vanishes is left out."""
    waiting: list[tuple[str, int | None]] = [(root, None)]
    while waiting:
        path, above = waiting.pop()
        try:
            found = os.stat(path)  # noqa: PTH116 (hundreds of cgroups, several times a second)
            below = [] if found.st_nlink == _CHILDLESS else _children(path)
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        priority = entries.get(found.st_ino, above)
        yield _Cgroup(found.st_ino, path, root, priority)
        waiting += [(child, priority) for child in below]


def _children(path: str) -> list[str]:
    with os.scandir(path) as found:
        return [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]


def _group(cgroup: _Cgroup, processes: Processes, host_priority: int) -> Group | None:
    """Return the processes that may be scored, or None if there are none, as in a sandbox."""
    listed = _pids(cgroup.path)
    found = processes.read(listed)
    # A pid that was used again since then belongs to a process of another cgroup.
    still = set(_pids(cgroup.path)) if listed else set()
    processes.expect(pid for pid in listed if pid in still)
    scorable = tuple(each for each in found if each.id.pid in still and each.score > PROTECTED)
    if not scorable:
        return None
    return Group(cgroup.id, host_priority if cgroup.priority is None else cgroup.priority, scorable)


def _pids(cgroup: str) -> list[int]:
    try:
        return [int(line) for line in content(f"{cgroup}/cgroup.procs").split()]
    except OSError:
        # It vanished, or its processes are listed in the cgroup above it (a threaded cgroup).
        return []


def _scopes(roots: Sequence[str], host: Iterable[Process], unlisted: Mapping[_Cgroup, Group]) -> Iterator[Scope]:
    """Yield the scope of the node, and that of each kubepods cgroup with a limit."""
    yield _scope("Node", memory.of_node(), host)
    for root in roots:
        limited = memory.of_cgroup(Path(root))
        if limited and limited.total >= SMALLEST:
            inside = [each for cgroup, group in unlisted.items() if cgroup.root == root for each in group.processes]
            yield _scope("Kubepods", limited, inside)


def _inside(scopes: Sequence[Scope], cgroups: Sequence[_Cgroup]) -> dict[str, frozenset[int]]:
    """Return the cgroups of each scope. On a node with two trees of pods, the scope of one tree has no unique name."""
    inside = {"Node": frozenset(each.id for each in cgroups)}
    if len({each.root for each in cgroups}) == 1 and any(scope.name == "Kubepods" for scope in scopes):
        inside["Kubepods"] = inside["Node"]
    return inside


def _scope(name: str, found: Memory, host: Iterable[Process]) -> Scope:
    bare = Scope(name, found.total)
    points = [bare.badness(each.usage, each.score) for each in host if each.score > PROTECTED]
    return replace(bare, host=STARTING | Span(min(points), max(points))) if points else bare
