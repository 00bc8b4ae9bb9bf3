# SPDX-License-Identifier: Apache-2.0
"""Random trees, priorities and sizes, compared with the model.

OOMPOLICY_RANDOM_OOMS is the number of OOMs, and OOMPOLICY_SEED selects the scenes.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.node.hog import run_out_of_memory
from tests.node.model import Candidate, random_entries, random_path, victim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy

OOMS = int(os.environ.get("OOMPOLICY_RANDOM_OOMS", "200"))
OOMS_PER_SCENE = 10
LIMIT_MIB = 64
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

    def oom(self, policy: Priorities) -> tuple[list[int | None], list[int]]:
        """Return the victims that the model predicts, and the processes that died. The trigger is -1."""
        entries = random_entries(self.rng, [candidate.path for _, candidate in self.hogs.values()])
        entries[TRIGGER.path] = 1000
        policy.clear()
        policy.set({self.node.cgroup("/".join(path)): value for path, value in entries.items()})
        trigger = self.trigger()
        dead = run_out_of_memory(trigger, [hog for hog, _ in self.hogs.values()])
        names = {hog.pid: name for name, (hog, _) in self.hogs.items()} | {trigger.pid: TRIGGER.name}
        trigger.end()
        died = [names[hog.pid] for hog in dead]
        # Each hog has two pipes, and a process may have a thousand.
        for hog in dead:
            hog.end()
        return self.predict(entries, len(died)), died

    def trigger(self) -> Hog:
        return self.node.hog(self.node.cgroup("/".join(TRIGGER.path)), 0)

    def predict(self, entries: dict[tuple[str, ...], int], count: int) -> list[int | None]:
        candidates = {TRIGGER.name: TRIGGER} | {name: candidate for name, (_, candidate) in self.hogs.items()}
        predicted = []
        for _ in range(count):
            name = victim(candidates.values(), entries, PAGES)
            predicted.append(name)
            if name is not None:
                del candidates[name]
                self.hogs.pop(name, None)
        return predicted


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_random_scenes_follow_the_model(node: Node, policy: Policy, restart_deadline: Callable[[], None]) -> None:
    """In every scene the kernel kills the process that the model names.

    However many processes die, none of their files stays open.
    """
    seed = int(os.environ.get("OOMPOLICY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"OOMPOLICY_SEED={seed}")
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    scene = Scene(node, rng)
    before = open_files()
    for number in range(OOMS):
        restart_deadline()
        if number % OOMS_PER_SCENE == 0:
            scene.clear()
        scene.populate()
        predicted, died = scene.oom(policy)
        assert predicted == died, f"OOM {number} of OOMPOLICY_SEED={seed}"
    scene.clear()
    assert open_files() == before
