# SPDX-License-Identifier: Apache-2.0
"""Values of the runtime and of workloads are kept apart from the adjuster's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.adjuster.badness import Scope
from oompolicy_agent.adjuster.originals import Original, Originals
from tests.unit.agent.adjuster.machine import BOOT, Machine, adjuster

if TYPE_CHECKING:
    from pathlib import Path

SCOPES = [Scope("Node", 262_144)]


def test_a_process_in_a_cgroup_that_was_empty_has_its_own_value(tmp_path: Path) -> None:
    """The cgroup's earlier process had another one, and no score of an earlier adjuster is in force."""
    machine, path = Machine(), tmp_path / "originals.json"
    machine.priorities = {7: 100, 8: 500}
    running = adjuster(machine, path)
    first = machine.start(7, 900, 10)
    machine.start(8, 0, 10)
    for _ in range(2):
        groups = machine.groups([7, 8])
        running.enforce(groups, SCOPES, 1000)
        running.forget_all_but(groups, {7, 8})
        machine.processes.pop(first.id.pid, None)
    machine.start(7, -500, 10)
    running.enforce(machine.groups([7, 8]), SCOPES, 1000)
    kept: Original = Originals(path, BOOT).known[7]

    assert -500 == kept.of(next(each.id for each in machine.processes.values() if each.cgroup == 7))
