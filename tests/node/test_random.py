# SPDX-License-Identifier: Apache-2.0
"""Random trees, priorities and sizes, compared with the model.

OOMPOLICY_RANDOM_OOMS is the number of OOMs, and OOMPOLICY_SEED selects the scenes.
"""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oompolicy_agent.kernel.layout import KernelMode, KernelTieBreak
from tests.node.hog import run_out_of_memory
from tests.node.model import (
    HOST_PRIORITY,
    NO_RULES,
    Candidate,
    Rules,
    kernel_victim,
    over_requests,
    random_entries,
    random_path,
    victim,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy

OOMS = int(os.environ.get("OOMPOLICY_RANDOM_OOMS", "200"))
OOMS_PER_SCENE = 10
LIMIT_MIB = 64
Entries = dict[tuple[str, ...], int]
MINIMA = (0, 3, 7, 11)
"""MiB. No process has just this much."""
CLEAR_MIB = 4
PAGES = (LIMIT_MIB << 20) // os.sysconf("SC_PAGESIZE")
SIZES = (2, 4, 6, 8, 10, 12)
"""The sizes are all different, so that more than a page table decides a tie."""
ADJS = (0, 0, 0, 0, 3, 500, 1000, -500, -997, -998, -999, -1000)

TRIGGER = Candidate(-1, ("kubepods", "trigger"), LIMIT_MIB - sum(SIZES), 0)
"""The process that holds the rest of the memory at the OOM. No other process has its priority of 1000."""


class Priorities(Protocol):
    """The priorities of cgroups, however they are enforced."""

    def clear(self) -> None: ...

    def set(self, priorities: Mapping[Cgroup, int]) -> None: ...


class Scene:
    """One tree with a limit at its top, its processes, and a trigger beside them."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node, self.rng = node, rng
        self.kubepods = node.cgroup("kubepods", memory__max=LIMIT_MIB << 20)
        self.hogs: dict[int, tuple[Hog, Candidate]] = {}
        self.living: dict[int, Candidate] = {}

    def populate(self) -> None:
        """Start a new process for each one that died."""
        for name, mib in enumerate(SIZES):
            if name not in self.hogs:
                candidate = Candidate(name, random_path(self.rng), mib, self.rng.choice(ADJS))
                hog = self.node.hog(self.node.cgroup("/".join(candidate.path)), mib, adj=candidate.adj)
                self.hogs[name] = (hog, candidate)

    def clear(self) -> None:
        for hog, _ in self.hogs.values():
            hog.end()
        self.hogs.clear()

    def set_entries(self, policy: Priorities) -> Entries:
        """Give random priorities to some of the cgroups, and return them."""
        entries = random_entries(self.rng, [candidate.path for _, candidate in self.hogs.values()])
        entries[TRIGGER.path] = 1000
        policy.clear()
        policy.set({self.node.cgroup("/".join(path)): value for path, value in entries.items()})
        return entries

    def set_rules(self, policy: Policy, entries: Entries) -> Rules:
        """Give random requests to the entries and a random minimum to the program, and return them as the model's.

        The memory of a cgroup is a little more than that of its processes. So any two cgroups of the same priority
        differ by at least `CLEAR_MIB` above their requests.
        """
        living = [TRIGGER, *(candidate for _, candidate in self.hogs.values())]
        while True:
            requests = {path: self.rng.randrange(120) for path in entries}
            over = over_requests(living, requests)
            if is_clear({**over, (): 0}, {**entries, (): HOST_PRIORITY}):
                break
        for path, value in entries.items():
            policy.entries.put(self.node.cgroup("/".join(path)).id, value, requests[path] << 20)
        minimum = self.rng.choice(MINIMA)
        policy.settings.change(
            tie_break=KernelTieBreak.MOST_OVER_REQUEST, minimum_victim_memory=minimum << 20, mode=KernelMode.ENFORCE
        )
        return Rules(minimum, over)

    def run_out_of_memory(self) -> tuple[list[int], dict[int, int]]:
        """Return the names of the dead in the kernel's order, and all names by pid. The trigger is -1."""
        trigger = self.trigger()
        dead = run_out_of_memory(trigger, [hog for hog, _ in self.hogs.values()])
        names = {hog.pid: name for name, (hog, _) in self.hogs.items()} | {trigger.pid: TRIGGER.name}
        trigger.end()
        died = [names[hog.pid] for hog in dead]
        # Each hog has two pipes, and a process may have a thousand.
        for hog in dead:
            hog.end()
        self.living = {TRIGGER.name: TRIGGER} | {name: candidate for name, (_, candidate) in self.hogs.items()}
        return died, names

    def trigger(self) -> Hog:
        return self.node.hog(self.node.cgroup("/".join(TRIGGER.path)), 0)

    def policys_choice(self, entries: Entries, rules: Rules = NO_RULES) -> int | None:
        """Return the model's victim in strict order."""
        return victim(self.living.values(), entries, PAGES, rules)

    def kernels_choice(self) -> int | None:
        """Return the model's victim of a kernel without a policy."""
        return kernel_victim(self.living.values(), PAGES)

    def remove(self, name: int | None) -> None:
        """Remove a process that the model says is dead."""
        if name is not None:
            del self.living[name]
            self.hogs.pop(name, None)


def is_clear(over: Entries, priorities: Entries) -> bool:
    """Return True if no two cgroups of the same priority are close to each other above their requests."""
    groups: dict[int, list[int]] = {}
    for path, mib in over.items():
        groups.setdefault(priorities[path], []).append(mib)
    pairs = (pair for group in groups.values() for pair in pairwise(sorted(group)))
    return all(high - low >= CLEAR_MIB for low, high in pairs)


def seed_of_this_run() -> int:
    """Return the seed that the environment asks for, or a new one, and print it."""
    seed = int(os.environ.get("OOMPOLICY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"OOMPOLICY_SEED={seed}")
    return seed


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_random_scenes_follow_the_model(node: Node, policy: Policy, restart_deadline: Callable[[], None]) -> None:
    """In every scene the kernel kills the process that the model names.

    However many processes die, none of their files stays open.
    """
    seed = seed_of_this_run()
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    scene = Scene(node, rng)
    before = open_files()
    for number in range(OOMS):
        restart_deadline()
        if number % OOMS_PER_SCENE == 0:
            scene.clear()
        scene.populate()
        entries = scene.set_entries(policy)
        died, _ = scene.run_out_of_memory()
        for name in died:
            chosen = scene.policys_choice(entries)
            assert name == chosen, f"OOM {number} of OOMPOLICY_SEED={seed}"
            scene.remove(chosen)
    scene.clear()
    assert open_files() == before
