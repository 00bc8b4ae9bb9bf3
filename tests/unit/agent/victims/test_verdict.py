# SPDX-License-Identifier: Apache-2.0
"""The Event of a victim on a node with scores is that of a node with the hook, in other words where facts differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.owners import CgroupOwners, Owner
from oompolicy_agent.status.reasons import Comparison
from oompolicy_agent.victims.event import FOREIGN, note
from oompolicy_agent.victims.naming import HOST, NamedVictim, name_victim
from oompolicy_agent.victims.record import Process
from oompolicy_agent.victims.verdict import Verdict, decided
from tests.unit.agent.victims.test_event import APP_OWNER, named

OTHER = Process("psql", 9, 50)
DB = replace(APP_OWNER, namespace="team-b", pod="db-0", container="postgres", priority=900)
DIFFERENT = Verdict(mode=Mode.ENFORCE, age=3.04, comparison=Comparison.DIFFERENT, other=OTHER, other_priority=900)


def judged(verdict: Verdict, **changes: Any) -> NamedVictim:  # noqa: ANN401
    bare = named(flags=0)
    return replace(bare, victim=decided(bare.victim, verdict), verdict=verdict, spared_owner=DB, **changes)


@pytest.mark.parametrize(
    ("verdict", "mode", "comparison"),
    [
        (DIFFERENT, Mode.ENFORCE, Comparison.DIFFERENT),
        (Verdict(mode=Mode.ENFORCE, comparison=Comparison.SAME), Mode.ENFORCE, Comparison.SAME),
        (Verdict(mode=Mode.AUDIT), Mode.AUDIT, Comparison.UNKNOWN),
        (Verdict(mode=Mode.OFF), Mode.OFF, None),
    ],
)
def test_the_victim_has_the_mode_of_the_adjuster(verdict: Verdict, mode: Mode, comparison: Comparison | None) -> None:
    """The observing program records neither. Its other flags stay."""
    bare = named(flags=VictimFlag.GROUP).victim
    found = decided(bare, verdict)

    assert (mode, comparison, verdict.other) == (found.mode, found.comparison, found.spared)
    assert found.flags & VictimFlag.GROUP
    assert (None, None) == (bare.mode, bare.comparison)


def test_the_words_name_scores_and_the_age_of_the_look() -> None:
    """There is no badness, because the process may have grown since."""
    text = note(judged(DIFFERENT), disclose=True)

    assert "priority 300 from OOMPolicy web: value 300" in text
    expected = "spared: psql (pid 9) in container postgres of pod team-b/db-0, priority 900, would have been killed"
    assert f"{expected} by the kernel's own scores 3.0 s before" in text
    assert "badness" not in text


def test_an_old_look_has_whole_seconds() -> None:
    assert "scores 17 s before" in note(judged(replace(DIFFERENT, age=17.3)), disclose=True)


def test_in_audit_the_scores_would_have_killed_the_other() -> None:
    text = note(judged(replace(DIFFERENT, mode=Mode.AUDIT)), disclose=True)

    assert "mode Audit: 3.0 s before, the scores would have killed psql (pid 9)" in text


def test_names_of_other_namespaces_are_not_disclosed() -> None:
    """This holds for the spared process and for a container that lived on."""
    text = note(judged(replace(DIFFERENT, missed=(DB,))), disclose=False)

    assert f"missed: {FOREIGN} should have died before it" in text
    assert f"spared: {FOREIGN}, which would have been killed by the kernel's own scores 3.0 s before" in text
    assert "db-0" not in text
    assert "900" not in text


def test_a_miss_names_the_first_container_and_counts_the_others() -> None:
    """Its own namespace may know the name without disclosure."""
    own = replace(APP_OWNER, container="cache", priority=100)
    text = note(judged(replace(DIFFERENT, missed=(own, DB))), disclose=False)

    assert "missed: container cache of pod team-a/web-0, priority 100, and 1 more should have died before it" in text


def test_a_look_that_is_not_known_is_named_in_enforce_alone() -> None:
    unknown = "it is unknown if scores had the order"

    assert unknown in note(judged(Verdict(mode=Mode.ENFORCE)), disclose=True)
    assert unknown not in note(judged(Verdict(mode=Mode.AUDIT)), disclose=True)
    assert "mode Audit: it is unknown which process" in note(judged(Verdict(mode=Mode.AUDIT)), disclose=True)


def test_the_other_process_is_named_by_its_cgroup() -> None:
    """A process in no pod belongs to the host, and one in an unknown cgroup to an unknown pod."""
    index = CgroupOwners()
    index.update({50: DB, 3: Owner("kubepods", "/cg/kubepods")}, 0.0)
    victim = named(flags=0).victim

    def owner(cgroup: int, *along: int) -> Owner | None:
        other = replace(OTHER, cgroup_id=cgroup, cgroup_ids=along)
        return name_victim(victim, index, (), replace(DIFFERENT, other=other)).spared_owner

    assert DB == owner(50)
    assert HOST == owner(1, 1)
    unknown = owner(51)
    assert unknown
    assert ("kubepods", "") == (unknown.kind, unknown.pod)
