# SPDX-License-Identifier: Apache-2.0
"""Random trees, priorities and sizes with a limit at their top, and the check of the dead against the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from oompolicy_agent.kernel.layout import KernelMode, KernelTieBreak
from tests.node.cgroup import Cgroup
from tests.node.hog import run_out_of_memory
from tests.node.model import (
    HOST_PRIORITY,
    NO_RULES,
    Candidate,
    Rules,
    dying_with,
    kernel_victim,
    over_requests,
    random_entries,
    random_groups,
    random_path,
    victim,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy

OOMS_PER_SCENE: Final = 10
LIMIT_MIB: Final = 64
Place = tuple[str, ...]
Entries = dict[Place, int]
MINIMA: Final = (0, 3, 7, 11)
"""MiB. No process has just this much."""
CLEAR_MIB: Final = 4
PAGE: Final = os.sysconf("SC_PAGESIZE")
PAGES: Final = (LIMIT_MIB << 20) // PAGE
SIZES: Final = (2, 4, 6, 8, 10, 12)
"""The sizes are all different, so that more than a page table decides a tie."""
ADJS: Final = (0, 0, 0, 0, 3, 500, 1000, -500, -997, -998, -999, -1000)

TRIGGER: Final = Candidate(-1, ("kubepods", "trigger"), LIMIT_MIB - sum(SIZES), 0)
"""The process that holds the rest of the memory at the OOM. No other process has its priority of 1000."""
TRIGGER_MIB: Final = 12
"""The memory with which it begins to grow. Every step takes time, and the limit has room for so much in any case."""

MACHINE_SWAP_MIB: Final = 64
SWAP_MIB: Final = 16
"""The swap of all pods together. The trigger can take up to so much more. It then still has a smaller badness than any
process with an oom_score_adj of 500, and a larger one than any process with less."""
DEEPEST: Final = 11
"""The deepest level of a cgroup that a record can describe: bpf/oompolicy.h has 12 levels with the root."""


@dataclass(frozen=True)
class Variant:
    """The dimensions of a random scene."""

    deep: bool = False
    """Cgroups reach the deepest level of a record, and few of them have an entry."""
    groups: bool = False
    """Some cgroups have `memory.oom.group`."""
    swap: bool = False
    """The pods have swap, which the kernel fills before the OOM."""
    rules: bool = False
    """The programs have the tie-break MostOverRequest, and a minimum for a victim's memory."""


PLAIN: Final = Variant()
VARIANTS: Final = {
    "plain": PLAIN,
    "deep": Variant(deep=True),
    "groups": Variant(groups=True),
    "swap": Variant(swap=True),
    "all": Variant(deep=True, groups=True, swap=True),
    "rules": Variant(deep=True, groups=True, rules=True),
}
"""`rules` is without swap. MostOverRequest compares memory.current, which has no memory in swap, and the kernel decides
which pages of which container it moves there. So no model can know it before the OOM."""
STRICT: Final = tuple(name for name, variant in VARIANTS.items() if not variant.rules)
"""The variants in which priorities and badness alone decide, so that scores can enforce them too."""


class Priorities(Protocol):
    """The priorities of cgroups, however they are enforced."""

    def clear(self) -> None: ...

    def set(self, priorities: Mapping[Cgroup, int]) -> None: ...


class Scene:
    """One tree with a limit at its top, its processes, and a trigger beside them."""

    def __init__(self, node: Node, rng: random.Random, variant: Variant = PLAIN) -> None:
        self.node, self.rng, self.variant = node, rng, variant
        self.kubepods = node.cgroup("kubepods", memory__max=LIMIT_MIB << 20)
        self.made: dict[Place, Cgroup] = {}
        self.hogs: dict[int, tuple[Hog, Candidate]] = {}
        self.living: dict[int, Candidate] = {}
        self.groups: set[Place] = set()
        if variant.swap:
            node.swap(MACHINE_SWAP_MIB)
            self.kubepods.write("memory.swap.max", SWAP_MIB << 20)
        self.pages = PAGES + (SWAP_MIB << 20) // PAGE * variant.swap

    def populate(self) -> None:
        """Start a new process for each one that died."""
        for name, mib in enumerate(SIZES):
            if name not in self.hogs:
                path = random_path(self.rng, DEEPEST if self.variant.deep else None)
                candidate = Candidate(name, path, mib, self.rng.choice(ADJS))
                hog = self.node.hog(self.cgroup(candidate.path), mib, adj=candidate.adj)
                self.hogs[name] = (hog, candidate)

    def cgroup(self, path: Place) -> Cgroup:
        """Return the cgroup, and make it if it is missing. The end of the test removes it with kubepods."""
        if path not in self.made:
            self.made[path] = Cgroup.make("/".join(path))
        return self.made[path]

    def clear(self) -> None:
        """End all processes, and remove their cgroups, whose own memory counts in the limit too."""
        for hog, _ in self.hogs.values():
            hog.end()
        self.hogs.clear()
        for directory in list(self.kubepods.path.iterdir()):
            if directory.is_dir():
                Cgroup(directory).remove()
        self.made.clear()
        self.groups.clear()

    def set_entries(self, policy: Priorities) -> Entries:
        """Give random priorities to some of the cgroups, and return them."""
        paths = [candidate.path for _, candidate in self.hogs.values()]
        entries = random_entries(self.rng, paths, 0.2 if self.variant.deep else 0.5)
        entries[TRIGGER.path] = 1000
        policy.clear()
        policy.set({self.cgroup(path): value for path, value in entries.items()})
        return entries

    def set_groups(self) -> None:
        """Give `memory.oom.group` to other cgroups than before, if this is a dimension of the scene."""
        if not self.variant.groups:
            return
        wanted = random_groups(self.rng, [candidate.path for _, candidate in self.hogs.values()])
        for path in wanted ^ self.groups:
            self.cgroup(path).write("memory.oom.group", int(path in wanted))
        self.groups = wanted

    def set_rules(self, policy: Policy, entries: Entries) -> Rules:
        """Give random requests to the entries and a random minimum to the program, and return them as the model's.

        The memory of a cgroup is a little more than that of its processes. So any two cgroups of the same priority
        differ by at least `CLEAR_MIB` above their requests. No cgroup with `memory.oom.group` is as near below the
        minimum.
        """
        living = [TRIGGER, *(candidate for _, candidate in self.hogs.values())]
        while True:
            requests = {path: self.rng.randrange(120) for path in entries}
            over = over_requests(living, requests)
            if is_clear({**over, (): 0}, {**entries, (): HOST_PRIORITY}):
                break
        for path, value in entries.items():
            policy.entries.put(self.cgroup(path).id, value, requests[path] << 20)
        whole = over_requests(living, dict.fromkeys(self.groups, 0))
        minima = [each for each in MINIMA if not any(each - CLEAR_MIB < mib < each for mib in whole.values())]
        minimum = self.rng.choice(minima)
        policy.settings.change(
            tie_break=KernelTieBreak.MOST_OVER_REQUEST, minimum_victim_memory=minimum << 20, mode=KernelMode.ENFORCE
        )
        return Rules(minimum, over, whole)

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
        return self.node.hog(self.cgroup(TRIGGER.path), TRIGGER_MIB)

    def policys_choice(self, entries: Entries, rules: Rules = NO_RULES) -> int | None:
        """Return the model's victim in strict order."""
        return victim(self.living.values(), entries, self.pages, rules)

    def kernels_choice(self) -> int | None:
        """Return the model's victim of a kernel without a policy."""
        return kernel_victim(self.living.values(), self.pages)

    def remove(self, name: int | None) -> None:
        """Remove a process that the model says is dead."""
        if name is not None:
            del self.living[name]
            self.hogs.pop(name, None)

    def wrong(self, died: list[int], entries: Entries, rules: Rules = NO_RULES) -> str | None:
        """Compare the dead with the model, remove them, and return the difference as a sentence, or None.

        With rules only the first choice is compared, because the memory of a dead process may still count for the next.
        """
        left = list(died)
        while left:
            chosen = self.policys_choice(entries, rules)
            if chosen is None:
                return self._difference(left, "no process", entries, rules)
            together = dying_with(self.living[chosen], self.living.values(), self.groups)
            if left[0] != chosen or set(left[: len(together)]) != set(together):
                others = f" with {sorted(set(together) - {chosen})}" if len(together) > 1 else ""
                return self._difference(left, f"{chosen}{others}", entries, rules)
            for name in together:
                self.remove(name)
            left = left[len(together) :]
            if rules != NO_RULES:
                for name in left:
                    self.remove(name)
                break
        return None

    def _difference(self, left: list[int], wanted: str, entries: Entries, rules: Rules) -> str:
        state = f"living {list(self.living.values())}, entries {entries}, groups {sorted(self.groups)}, {rules}"
        return f"the kernel killed {left}, the model {wanted}: {state}"


def is_clear(over: Entries, priorities: Entries) -> bool:
    """Return True if no two cgroups of the same priority are close to each other above their requests."""
    groups: dict[int, list[int]] = {}
    for path, mib in over.items():
        groups.setdefault(priorities[path], []).append(mib)
    pairs = (pair for group in groups.values() for pair in pairwise(sorted(group)))
    return all(high - low >= CLEAR_MIB for low, high in pairs)
