# SPDX-License-Identifier: Apache-2.0
"""The demo passes only if the expected pods were killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.node import story
from demo.node.story import Ending
from oompolicy.manifests import load_manifests
from oompolicy.resolve import resolve

EXAMPLES = Path(__file__).parents[3] / "examples/demo"
PODS = {"postgres": "postgres-0", "web": "web-1", "report": "report-1"}
EVENT: dict[str, Any] = {
    "reason": "OOMVictimKilled",
    "regarding": {"kind": "Pod", "fieldPath": "spec.containers{report}"},
    "related": {"kind": "OOMPolicy", "name": "batch"},
    "note": "Kernel OOM killer killed report (pid 7, ...); spared: postgres (pid 5) in container postgres ...",
}
WITHOUT = Ending(("postgres",), ("Out of memory: Killed process 5 (postgres) ...",))
AUDIT_NOTE = "Kernel OOM killer killed postgres ...; mode Audit: the policy would have killed report (pid 7) ..."
AUDITED = Ending(("postgres",), WITHOUT.log, {"note": AUDIT_NOTE})
WITH = Ending(("report",), (story.POLICY_LINE, "Out of memory: Killed process 7 (report) ..."), EVENT)


def test_the_database_is_killed_unless_the_policy_is_enforced() -> None:
    expected = "without policy: postgres-0 died; in Audit: postgres-0 died; in Enforce: report-1 died, postgres-0 lives"

    assert [] == list(story.flaws(WITHOUT, AUDITED, WITH))
    assert expected == story.summary(WITHOUT, AUDITED, WITH, PODS)


@pytest.mark.parametrize(
    ("without", "with_policy", "flaw"),
    [
        (replace(WITHOUT, dead=("report",)), WITH, "without policy report died"),
        (replace(WITHOUT, dead=("postgres", "web")), WITH, "without policy postgres, web died"),
        (replace(WITHOUT, dead=()), WITH, "without policy nobody died"),
        (replace(WITHOUT, log=WITH.log), WITH, "without policy the kernel's log names one"),
        (WITHOUT, replace(WITH, dead=("postgres",)), "with policy postgres died"),
        (WITHOUT, replace(WITH, log=WITHOUT.log), "the kernel's log lacks"),
        (WITHOUT, replace(WITH, event=None), "the agent wrote no Event"),
        (WITHOUT, replace(WITH, event={**EVENT, "regarding": {"kind": "Node"}}), "the Event is about"),
        (WITHOUT, replace(WITH, event={**EVENT, "related": {}}), "the Event names no policy"),
        (WITHOUT, replace(WITH, event={**EVENT, "note": "..."}), "does not say that postgres was spared"),
    ],
)
def test_any_other_ending_is_a_flaw(without: Ending, with_policy: Ending, flaw: str) -> None:
    (found,) = story.flaws(without, AUDITED, with_policy)

    assert flaw in found


@pytest.mark.parametrize(
    ("audited", "flaw"),
    [
        (replace(AUDITED, dead=("report",)), "in Audit report died, not postgres alone"),
        (replace(AUDITED, log=WITH.log), "in Audit the kernel's log says that a policy chose"),
        (replace(AUDITED, event=None), "does not say that the policy would have killed report"),
        (
            replace(AUDITED, event={"note": "... killed it too"}),
            "does not say that the policy would have killed report",
        ),
    ],
)
def test_an_audit_that_changes_or_hides_the_choice_is_a_flaw(audited: Ending, flaw: str) -> None:
    """In Audit the kernel's choice dies, and the Event names the choice of the policies."""
    (found,) = story.flaws(WITHOUT, audited, WITH)

    assert flaw in found


def test_a_database_that_was_killed_is_not_reported_as_alive() -> None:
    both = replace(WITH, dead=("report", "postgres"))

    assert story.summary(WITHOUT, AUDITED, both, PODS).endswith("in Enforce: report-1, postgres-0 died")


def test_only_the_important_lines_of_the_kernels_log_are_shown_once() -> None:
    """Because of memory.oom.group the kernel logs some lines twice."""
    log = (
        "report invoked oom-killer: ...",
        "CPU: 0 PID: 7",
        *WITH.log,
        "Tasks in /x are going to be killed",
        *WITH.log,
    )

    assert ("report invoked oom-killer: ...", *WITH.log) == story.told(log)


def test_the_examples_give_the_priorities_of_the_story() -> None:
    """The report has the lowest priority and the database the highest, from the policies that are printed."""
    found = load_manifests([EXAMPLES])
    parts = {each.containers[0].name: each for each in resolve(found.policies, found.namespaces, found.pods)}

    assert set(story.HOLDS_MIB) == parts.keys()
    assert [story.GROWS, "web", story.DATABASE] == sorted(parts, key=lambda name: parts[name].priority)
    assert (100, story.POLICY) == (parts[story.GROWS].priority, parts[story.GROWS].policy)
    assert (900, "databases") == (parts[story.DATABASE].priority, parts[story.DATABASE].policy)
    assert story.DATABASE == max(story.HOLDS_MIB, key=lambda name: story.HOLDS_MIB[name])
