# SPDX-License-Identifier: Apache-2.0
"""A victim is compared with the look before it, and a lower priority that lived on is a miss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oompolicy.oomsettings import Mode
from oompolicy_agent.adjuster.report import Chosen, Report
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.owners import Owner
from oompolicy_agent.scores.verdicts import Asked, compared, missed, process_of, scope_key
from oompolicy_agent.status.reasons import Comparison
from oompolicy_agent.victims.record import Victim, parse_victim
from tests.unit.agent.fakes import BOOT, record

LOOKED, DIED = 1_000_000_000, 4_000_000_000
KUBEPODS = Owner("kubepods", "/cg/kubepods")
OTHER = Chosen(cgroup=50, pid=12, start_time=345, memory=4096, priority=900, comm="java")
REPORT = Report(
    boot_id=BOOT,
    boot_time_ns=LOOKED,
    mode="Enforce",
    written=True,
    spared={"Node": OTHER},
    would_kill={"Node": replace(OTHER, pid=13)},
    scored=frozenset({50, 60, 70}),
)
OWNERS = {
    40: Owner("pod", "/cg/kubepods/pod-a"),
    50: Owner("container", "/cg/kubepods/pod-a/b"),
    60: Owner("container", "/cg/kubepods/pod-b/c"),
}


def victim(path: str = "/kubepods/pod-v/v", ids: tuple[int, ...] = (1, 2, 3, 7), **fields: Any) -> Victim:  # noqa: ANN401
    given = {"boottime_ns": DIED, "start_boottime_ns": 9_990_000_000, "priority": 500, "flags": 0, **fields}
    return parse_victim(bytes(record(path, ids, **given)), BOOT)


def lower(died: Victim, asked: dict[int, Asked], scope: Owner | None = None, **changes: Any) -> list[str]:  # noqa: ANN401
    killed = changes.pop("killed", set())
    found = missed(died, replace(REPORT, **changes), scope, asked, OWNERS.get, killed=killed)
    return [owner.path for owner in found]


def test_the_spared_process_is_that_of_the_look() -> None:
    """The age is the time from the look to the death."""
    found = compared(victim(), REPORT, "Node", set())

    assert (Mode.ENFORCE, 3.0, Comparison.DIFFERENT) == (found.mode, found.age, found.comparison)
    assert found.other
    assert ("java", 12, 50, 900) == (found.other.comm, found.other.tgid, found.other.cgroup_id, found.other_priority)


def test_in_audit_the_other_process_is_that_of_the_scores() -> None:
    found = compared(victim(), replace(REPORT, mode="Audit"), "Node", set())

    assert found.other
    assert (Mode.AUDIT, 13) == (found.mode, found.other.tgid)


def test_the_same_process_or_container_is_no_other() -> None:
    """A pid with another start time belongs to another process."""
    died = victim(victim_tgid=12, start_boottime_ns=3_450_000_000)
    assert Comparison.SAME is compared(died, REPORT, "Node", set()).comparison
    assert Comparison.SAME is compared(victim(ids=(1, 2, 3, 50)), REPORT, "Node", set()).comparison
    assert Comparison.DIFFERENT is compared(replace(died, start_boottime_ns=0), REPORT, "Node", set()).comparison


@pytest.mark.parametrize(
    ("report", "key", "dead"),
    [
        (REPORT, "", set()),
        (REPORT, "Kubepods", set()),
        (REPORT, "Node", {(12, 345)}),
        (replace(REPORT, mode="Off"), "Node", set()),
    ],
)
def test_without_a_look_at_the_scope_the_other_process_is_unknown(
    report: Report, key: str, dead: set[tuple[int, int]]
) -> None:
    """A process that died since the look is not one that was spared."""
    found = compared(victim(), report, key, dead)

    assert (Comparison.UNKNOWN, None) == (found.comparison, found.other)


def test_a_host_process_is_in_no_pod() -> None:
    found = compared(victim(), replace(REPORT, spared={"Node": replace(OTHER, cgroup=0)}), "Node", set())

    assert found.other
    assert ((1,), 1) == (found.other.cgroup_ids, found.other.cgroup_id)


def test_a_process_is_known_by_pid_and_start_time() -> None:
    """The start time is in ticks of the clock, as in /proc/PID/stat."""
    assert (4711, 999) == process_of(victim())


@pytest.mark.parametrize(
    ("fields", "scope", "key"),
    [
        ({}, None, "Node"),
        ({"scope_cgroup_id": 2}, KUBEPODS, "Kubepods"),
        ({"scope_cgroup_id": 2}, Owner("qos", "/cg/kubepods/besteffort"), ""),
        ({"scope_cgroup_id": 2}, None, ""),
        ({"flags": VictimFlag.NO_SCOPE}, None, ""),
        ({"flags": VictimFlag.CONSTRAINED}, None, ""),
    ],
)
def test_only_whole_scopes_are_in_the_report(fields: dict[str, Any], scope: Owner | None, key: str) -> None:
    assert key == scope_key(victim(**fields), scope)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({50: Asked(200, 1)}, True),
        ({50: Asked(500, 1)}, False),
        ({50: Asked(900, 1)}, False),
        ({50: Asked(200, DIED + 1)}, False),
        ({50: Asked(200, LOOKED + 1)}, True),
        ({40: Asked(200, LOOKED + 1)}, False),
        ({99: Asked(200, LOOKED + 1)}, False),
    ],
)
def test_a_container_of_a_lower_priority_that_was_asked_for_is_a_miss(asked: dict[int, Asked], found: bool) -> None:
    """It must have its priority before the death. A pod has no processes of its own, and an owner must be known."""
    assert (["/cg/kubepods/pod-a/b"] if found else []) == lower(victim(), asked)


def test_a_container_without_processes_at_the_look_is_no_miss() -> None:
    """All its processes are protected, or it had none. A container that is newer than the look was not there."""
    asked = {50: Asked(200, 1), 60: Asked(300, LOOKED + 1)}

    assert ["/cg/kubepods/pod-b/c"] == lower(victim(), asked, scored=frozenset())


def test_a_container_with_a_victim_since_the_look_is_no_miss() -> None:
    """Its other processes may be dying, as after a kill of the whole group."""
    assert [] == lower(victim(), {50: Asked(200, 1)}, killed={50})
    assert [] == lower(victim(ids=(1, 2, 3, 50)), {50: Asked(200, 1)})


def test_only_containers_in_the_scope_are_candidates() -> None:
    asked, died = {50: Asked(200, 1), 60: Asked(200, 1)}, victim(scope_cgroup_id=3)

    assert ["/cg/kubepods/pod-b/c"] == lower(died, asked, Owner("pod", "/cg/kubepods/pod-b"))
    assert 2 == len(lower(died, asked, KUBEPODS))
    assert [] == lower(died, asked, Owner("pod", "/cg/kubepods/pod-"))
    assert [] == lower(died, asked)


@pytest.mark.parametrize("flag", [VictimFlag.GROUP, VictimFlag.CONSTRAINED, VictimFlag.NO_SCOPE])
def test_a_victim_that_was_not_chosen_out_of_a_whole_scope_is_no_miss(flag: VictimFlag) -> None:
    assert [] == lower(victim(flags=flag), {50: Asked(200, 1)})


@pytest.mark.parametrize("changes", [{"mode": "Audit"}, {"mode": "Off"}, {"written": False}])
def test_without_scores_in_force_there_is_no_miss(changes: dict[str, Any]) -> None:
    assert [] == lower(victim(), {50: Asked(200, 1)}, **changes)
