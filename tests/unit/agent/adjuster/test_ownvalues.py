# SPDX-License-Identifier: Apache-2.0
"""Values of the runtime and of workloads are kept apart from the adjuster's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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


@pytest.mark.parametrize("ended", [False, True])
def test_a_value_of_a_workload_is_kept_if_it_differs_from_the_score(tmp_path: Path, *, ended: bool) -> None:
    """A process sets its own value. The adjuster gives that value back, and not the one of the container.

    The adjuster cannot distinguish two cases, because the kernel does not say which program wrote a value. If the
    process sets just its score, or sets its value while no adjuster runs (`ended`), it gets the value of the container.
    """
    machine, path = Machine(), tmp_path / "originals.json"
    machine.priorities = {7: 100, 8: 500}
    running = adjuster(machine, path)
    differs, same = machine.start(7, 900, 10), machine.start(8, 0, 10)
    running.enforce(machine.groups([7, 8]), SCOPES, 1000)
    if ended:
        running = adjuster(machine, path)
    differs.score -= 1
    wanted = 900 if ended else differs.score
    running.enforce(machine.groups([7, 8]), SCOPES, 1000)
    running.restore(machine.groups([7, 8]))

    assert (wanted, 0) == (differs.score, same.score)
