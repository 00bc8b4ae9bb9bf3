# SPDX-License-Identifier: Apache-2.0
"""A model of the order, and random scenes to compare with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

PAGE = os.sysconf("SC_PAGESIZE")
HOST_PRIORITY = 1000


@dataclass(frozen=True)
class Candidate:
    """A process in the model: `path` from the root down, memory in MiB."""

    name: int
    path: tuple[str, ...]
    mib: int
    adj: int


def nearest_entry(path: tuple[str, ...], entries: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    """Return the nearest cgroup with an entry from the process's own cgroup upwards, or nothing."""
    return next((path[:length] for length in range(len(path), 0, -1) if path[:length] in entries), ())


def priority(path: tuple[str, ...], entries: Mapping[tuple[str, ...], int]) -> int:
    """Return the nearest entry, from the process's own cgroup upwards."""
    return entries.get(nearest_entry(path, entries), HOST_PRIORITY)


def kernel_victim(candidates: Iterable[Candidate], total_pages: int) -> int | None:
    """Return the process that a kernel without a policy kills: the one with the worst badness."""
    able = [candidate for candidate in candidates if candidate.adj > -1000]
    return max(able, key=lambda one: _badness(one, total_pages)).name if able else None


def _badness(one: Candidate, total_pages: int) -> int:
    return one.mib * (1 << 20) // PAGE + one.adj * (total_pages // 1000)


@dataclass(frozen=True)
class Rules:
    """The settings of the programs. `over_request` has MiB by the path of an entry, or nothing without requests.

    `whole_mib` has the MiB of each cgroup with `memory.oom.group`. Those of the topmost cgroup above a process, which
    dies as a whole, count against the minimum.
    """

    minimum_mib: int = 0
    over_request: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    whole_mib: Mapping[tuple[str, ...], int] = field(default_factory=dict)


NO_RULES = Rules()


def victim(
    candidates: Iterable[Candidate],
    entries: Mapping[tuple[str, ...], int],
    total_pages: int,
    rules: Rules = NO_RULES,
) -> int | None:
    """Return the victim of strict order.

    It is unprotected rather than protected, and large enough rather than small. Then its priority is the lowest, its
    container is furthest above its request, and its badness is the worst.
    """
    able = [candidate for candidate in candidates if candidate.adj > -1000]
    if not able:
        return None

    def rank(one: Candidate) -> tuple[bool, float, int, int, int]:
        own = priority(one.path, entries)
        freed = max(one.mib, rules.whole_mib.get(topmost(one.path, rules.whole_mib), 0))
        passed_over = freed < rules.minimum_mib and own < HOST_PRIORITY
        over = rules.over_request.get(nearest_entry(one.path, entries), 0) if own < HOST_PRIORITY else 0
        return one.adj <= -998, HOST_PRIORITY - 0.5 if passed_over else own, own, -over, -_badness(one, total_pages)

    return min(able, key=rank).name


def dying_with(
    chosen: Candidate, candidates: Iterable[Candidate], groups: Iterable[tuple[str, ...]]
) -> dict[int, Candidate]:
    """Return all processes that die with the chosen one: those of the topmost cgroup above it with `memory.oom.group`.

    `groups` are the cgroups with it, all of them within the one that reached its limit. The kernel leaves out a process
    with an oom_score_adj of -1000.
    """
    top = topmost(chosen.path, groups)
    if not top:
        return {chosen.name: chosen}
    return {one.name: one for one in candidates if one.path[: len(top)] == top and one.adj > -1000}


def topmost(path: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the topmost of the groups that the path is in, or nothing."""
    return min((group for group in groups if path[: len(group)] == group), key=len, default=())


def over_requests(
    candidates: Iterable[Candidate], requests: Mapping[tuple[str, ...], int]
) -> dict[tuple[str, ...], int]:
    """Return the MiB that each cgroup with an entry uses above its request."""
    found = list(candidates)
    return {
        path: sum(one.mib for one in found if one.path[: len(path)] == path) - request
        for path, request in requests.items()
    }


def random_path(rng: random.Random, deepest: int | None = None) -> tuple[str, ...]:
    """Return a path as below kubepods: a class, a pod, a container, and sometimes cgroups inside it.

    There are up to two cgroups between the container and the last one, or else as many as make `deepest` levels.
    """
    qos = rng.choice((("burstable",), ("besteffort",), ()))
    path = ("kubepods", *qos, f"pod{rng.randrange(3)}", f"container{rng.randrange(3)}")
    nested = 3 if deepest is None else deepest - len(path)
    return path + ("nested",) * rng.randrange(nested) + ("leaf",)


def random_entries(
    rng: random.Random, paths: Iterable[tuple[str, ...]], share: float = 0.5
) -> dict[tuple[str, ...], int]:
    """Return entries on a share of the cgroups. There are few different priorities, so that ties happen."""
    return {prefix: rng.choice((0, 100, 200, 500, 800, 999)) for prefix in prefixes(paths) if rng.random() < share}


def random_groups(rng: random.Random, paths: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return some cgroups below kubepods for `memory.oom.group`."""
    return {prefix for prefix in prefixes(paths) if len(prefix) > 1 and rng.random() < 0.15}


def prefixes(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the cgroups of the paths and all cgroups above them, in a fixed order."""
    return sorted({path[:length] for path in paths for length in range(1, len(path) + 1)})
