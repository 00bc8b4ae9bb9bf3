# SPDX-License-Identifier: Apache-2.0
"""Make a victim from a kill in the kernel's log. Pure.

The log names cgroups by their paths, and a record of the BPF program by their ids. The ids and the priority come from
the owners that the agent knows.
"""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel.layout import LEVELS, VictimFlag
from oompolicy_agent.plumbing.text import printable
from oompolicy_agent.victims.record import Logged, Process, Victim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.mapping.owners import CgroupOwners

_KIB_PER_PAGE: Final = os.sysconf("SC_PAGESIZE") // 1024
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_ROOT_ID: Final = 1
"""The id of the root of every cgroup v2 tree."""
_REMEMBERED: Final = 256
_SAME_NS: Final = 2_000_000_000
"""The times of the program and of the log differ by less than this. The kernel cannot use a pid again so soon."""
_ELSEWHERE: Final = -LEVELS
"""The id of a scope that is no ancestor of the victim, and whose id is unknown."""


class Recorded:
    """The last victims that a BPF program recorded. While a program is attached, the log may have them as well."""

    def __init__(self) -> None:
        self._victims: deque[Victim] = deque(maxlen=_REMEMBERED)

    def add(self, victim: Victim) -> None:
        """Remember a victim."""
        self._victims.append(victim)

    def has(self, kill: Mapping[str, Any]) -> bool:
        """Return True if a kill in the adjuster's file is one of these victims."""
        return any(
            each.tgid == kill.get("pid") and abs(each.boottime_ns - kill.get("bootTimeNs", 0)) < _SAME_NS
            for each in self._victims
        )


def parse_logged(raw: bytes, boot_id: str) -> Victim:
    """Return the victim of one kill in the adjuster's file, without ids and priority. ValueError if it is none."""
    match json.loads(raw):
        case {
            "logTimeUs": int(log_time),
            "bootTimeNs": int(boot_time),
            "pid": int(pid),
            "comm": str(comm),
            "uid": int(uid),
            "anonKiB": int(anon),
            "fileKiB": int(file),
            "shmemKiB": int(shmem),
            "oomScoreAdj": int(score),
            "startTime": int(start),
            "path": str() | None as path,
            "cgroup": int(cgroup),
            "scope": str() | None as scope,
            "group": str() | None as group,
            "bound": bool(bound),
            "trigger": dict() | None as trigger,
        }:
            made = _trigger(trigger) if trigger else None
        case _:
            raise ValueError("it is no kill of this version: agent and adjuster must be of the same release")
    flags = VictimFlag.CONSTRAINED if bound else VictimFlag(0)
    flags |= VictimFlag.NO_SCOPE if scope is None else VictimFlag(0)
    flags |= VictimFlag(0) if group is None else VictimFlag.GROUP
    return Victim(
        boot_id=boot_id,
        boottime_ns=boot_time,
        start_boottime_ns=start * _TICK_NS,
        comm=printable(comm),
        tgid=pid,
        uid=uid,
        oom_score_adj=score,
        priority=None,
        host_priority=False,
        priority_cgroup_id=None,
        badness=0,
        anon_pages=anon // _KIB_PER_PAGE,
        file_pages=file // _KIB_PER_PAGE,
        shmem_pages=shmem // _KIB_PER_PAGE,
        swap_pages=0,
        candidates=0,
        flags=flags,
        scope_cgroup_id=0,
        cgroup_ids=(),
        names=_names(path or group),
        trigger=made,
        spared=None,
        spared_priority=0,
        spared_badness=0,
        logged=Logged(log_time, path, cgroup, scope, group),
    )


def _trigger(raw: Mapping[str, Any]) -> Process:
    match raw:
        case {"pid": int(pid), "comm": str(comm), "cgroup": int(cgroup)}:
            return Process(printable(comm), pid, cgroup)
    raise ValueError("its trigger is no process")


def located(victim: Victim, owners: CgroupOwners, root: str, host_priority: int) -> Victim:
    """Return the victim with the ids and the priority that the owners give it. A BPF program's victim has them already.

    `root` is the folder of the cgroup tree. A cgroup without an owner has a negative number in place of its id. Blank
    owners, as those of another boot, give no priority.
    """
    logged = victim.logged
    if logged is None:
        return victim
    path, flags = _path(logged, owners, root), victim.flags
    if logged.group and path and not _inside(path, logged.group):
        # Another OOM, of which the log has one line right behind those of the group.
        logged = replace(logged, scope=None)
        flags = flags & ~(VictimFlag.GROUP | VictimFlag.CONSTRAINED) | VictimFlag.NO_SCOPE
        victim = replace(victim, trigger=None)
    ids = _ids(path, owners, root) if path else {}
    decides = next((each for each in reversed(ids.values()) if _priority(each, owners) is not None), None)
    host = bool(ids) and decides is None and not owners.blank
    return replace(
        victim,
        flags=flags,
        names=_names(path),
        cgroup_ids=tuple(ids.values()),
        scope_cgroup_id=_scope_id(logged.scope, ids, owners, root),
        priority=host_priority if host else _priority(decides, owners),
        host_priority=host,
        priority_cgroup_id=decides,
    )


def _path(logged: Logged, owners: CgroupOwners, root: str) -> str | None:
    """Return the path of the victim's cgroup: that in the log, or of the last look, or else of its group."""
    owner = owners.get(logged.cgroup) if logged.cgroup else None
    return logged.path or (owner.path.removeprefix(root) if owner else logged.group)


def _inside(path: str, group: str) -> bool:
    return path == group or path.startswith(f"{group.rstrip('/')}/")


def _names(path: str | None) -> tuple[str, ...]:
    """Return the names of the cgroups of a path from the root down, as a record has them."""
    return tuple(printable(name) for name in path.rstrip("/").split("/")[:LEVELS]) if path else ()


def _ids(path: str, owners: CgroupOwners, root: str) -> dict[str, int]:
    """Return the ids of the cgroups of a path from the root down, by their own paths."""
    names = path.rstrip("/").split("/")[:LEVELS]
    found = {"/": _ROOT_ID}
    for level in range(1, len(names)):
        below = "/".join(names[: level + 1])
        known = owners.id_at(root + below)
        found[below] = -level if known is None else known
    return found


def _priority(cgroup_id: int | None, owners: CgroupOwners) -> int | None:
    owner = None if cgroup_id is None else owners.get(cgroup_id)
    return owner.priority if owner else None


def _scope_id(scope: str | None, ids: Mapping[str, int], owners: CgroupOwners, root: str) -> int:
    """Return the id of the scope's cgroup. It is 0 for the node, and for an unknown scope, which has a flag."""
    if not scope:
        return 0
    if scope in ids:
        return ids[scope]
    found = owners.id_at(root + scope)
    return _ELSEWHERE if found is None else found
