# SPDX-License-Identifier: Apache-2.0
"""A random scene whose priorities are enforced by scores, and the values that count in its model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.node.model import HOST_PRIORITY, NO_RULES, Candidate, Rules, priority, victim
from tests.node.running_adjuster import LookedAt, Scores
from tests.node.scene import PLAIN, TRIGGER, TRIGGER_MIB, Entries, Scene, Variant

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from tests.node.hog import Hog
    from tests.node.machine import Node


class ScoredScene(Scene):
    """A random scene whose priorities are enforced by scores, with a look before each step of the growth."""

    def __init__(self, node: Node, rng: random.Random, scores: Scores, variant: Variant = PLAIN) -> None:
        super().__init__(node, rng, variant)
        self.scores = scores

    def trigger(self) -> Hog:
        # Without an entry a process has the host's priority in the model. The agent has an entry for every pod.
        self.scores.set({self.kubepods: HOST_PRIORITY} if self.kubepods.id not in self.scores.entries else {})
        return self.node.adopt(LookedAt(self.scores, self.cgroup(TRIGGER.path), TRIGGER_MIB))

    def policys_choice(self, entries: Entries, rules: Rules = NO_RULES) -> int | None:
        """Return the model's victim with the values that count here: protection, and the size of all others."""
        return victim([scored(each, entries) for each in self.living.values()], entries, self.pages, rules)


def scored(candidate: Candidate, entries: Mapping[tuple[str, ...], int]) -> Candidate:
    if candidate.adj <= -998:
        return candidate
    among_host = priority(candidate.path, entries) == HOST_PRIORITY
    return replace(candidate, adj=min(0, candidate.adj) if among_host else 0)
