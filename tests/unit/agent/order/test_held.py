# SPDX-License-Identifier: Apache-2.0
"""The score that the node holds for a container is that of its process that dies first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.order.facts import Holding
from oompolicy_agent.order.held import Held

if TYPE_CHECKING:
    from pathlib import Path


def test_the_largest_score_of_nested_cgroups_is_that_of_the_container(tmp_path: Path) -> None:
    """A container may have moved its processes into cgroups of its own."""
    folders = [tmp_path / "a", *(tmp_path / "a" / f"n{number}" for number in range(3))]
    for folder in folders:
        folder.mkdir()
    own, *nested = [folder.stat().st_ino for folder in folders]
    values = {cgroup: (300, 600 + place) for place, cgroup in enumerate(nested)}
    held = Held(Holding.SCORES, values)

    assert (300, 602) == held.of(str(folders[0]), [own])
    assert (None, None) == held.of(str(tmp_path / "gone"), [own])
