# SPDX-License-Identifier: Apache-2.0
"""Run one round in this guest, and leave the result in /artifacts: `python3 -m campaign.guest`."""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campaign.results import Found, Wrong
from oompolicy_agent.kernel.layout import KernelMode
from tests.node import policy as attached
from tests.node.machine import Node
from tests.node.model import NO_RULES
from tests.node.running_adjuster import Scores
from tests.node.scene import OOMS_PER_SCENE, VARIANTS, Scene
from tests.node.scored_scene import ScoredScene

if TYPE_CHECKING:
    from tests.node.scene import Variant

RESULT: Final = Path("/artifacts/round.json")
BEHIND: Final = 50
"""The number of OOMs between two lines of progress."""


def hooked(stack: ExitStack, node: Node, variant: Variant, rng: random.Random) -> tuple[Scene, attached.Policy]:
    """Attach the policy, and return a scene and the policy."""
    attached.attach()
    policy = stack.enter_context(closing(attached.Policy()))
    policy.set_mode(KernelMode.ENFORCE)
    return Scene(node, rng, variant), policy


def scored(stack: ExitStack, node: Node, variant: Variant, rng: random.Random) -> tuple[Scene, Scores]:
    """Return a scene that scores enforce, and the scores."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    scores = stack.enter_context(closing(Scores(folder, "Kubepods")))
    return ScoredScene(node, rng, scores, variant), scores


def play(backend: str, variant: Variant, seed: int, ooms: int) -> Found:
    """Run out of memory `ooms` times, and return the differences to the model."""
    wrong: list[Wrong] = []
    kills = 0
    with ExitStack() as stack:
        node = Node(stack)
        rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
        scene, priorities = (scored if backend == "scores" else hooked)(stack, node, variant, rng)
        for number in range(ooms):
            if number % OOMS_PER_SCENE == 0:
                scene.clear()
                # The number of processes that die in one OOM depends on the time, and the next OOM on that number. So
                # each scene begins with a seed of its own.
                rng.seed(f"{seed}/{number // OOMS_PER_SCENE}")
            scene.populate()
            entries = scene.set_entries(priorities)
            scene.set_groups()
            rules = NO_RULES
            if variant.rules and isinstance(priorities, attached.Policy):
                rules = scene.set_rules(priorities, entries)
            died, _ = scene.run_out_of_memory()
            kills += len(died)
            if difference := scene.wrong(died, entries, rules):
                wrong.append(Wrong(number, difference))
                print(f"OOM {number}: {difference}", flush=True)
                scene.clear()
            if (number + 1) % BEHIND == 0:
                print(f"{number + 1} OOMs, {len(wrong)} wrong", flush=True)
        scene.clear()
    return Found(os.uname().release, kills, wrong)


def main() -> None:
    """Run the round of the command line."""
    parser = argparse.ArgumentParser(prog="python3 -m campaign.guest", description=__doc__)
    parser.add_argument("backend")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("seed", type=int)
    parser.add_argument("ooms", type=int)
    options = parser.parse_args()
    found = play(options.backend, VARIANTS[options.variant], options.seed, options.ooms)
    RESULT.write_text(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
