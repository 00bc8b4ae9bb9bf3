# SPDX-License-Identifier: Apache-2.0
"""Random trees, priorities and sizes, compared with the model.

OOMPOLICY_RANDOM_OOMS is the number of OOMs, and OOMPOLICY_SEED selects the scenes.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.node.scene import OOMS_PER_SCENE, STRICT, VARIANTS, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.node.machine import Node
    from tests.node.policy import Policy

OOMS = int(os.environ.get("OOMPOLICY_RANDOM_OOMS", "200"))


def seed_of_this_run() -> int:
    """Return the seed that the environment asks for, or a new one, and print it."""
    seed = int(os.environ.get("OOMPOLICY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"OOMPOLICY_SEED={seed}")
    return seed


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("variant", STRICT)
def test_random_scenes_follow_the_model(
    node: Node, policy: Policy, restart_deadline: Callable[[], None], variant: str
) -> None:
    """In every scene the kernel kills the processes that the model names.

    However many processes die, none of their files stays open.
    """
    seed = seed_of_this_run()
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    scene = Scene(node, rng, VARIANTS[variant])
    before = open_files()
    for number in range(OOMS // len(STRICT)):
        restart_deadline()
        if number % OOMS_PER_SCENE == 0:
            scene.clear()
        scene.populate()
        entries = scene.set_entries(policy)
        scene.set_groups()
        died, _ = scene.run_out_of_memory()
        assert scene.wrong(died, entries) is None, f"OOM {number} of OOMPOLICY_SEED={seed}"
    scene.clear()
    assert open_files() == before
