# SPDX-License-Identifier: Apache-2.0
"""Write scores and put original values back, in an order in which a crash loses no original value.

New original values are on disk before any score is written. They stay there until all processes of their cgroup have
them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from oompolicy_agent.adjuster.ownvalues import OwnValues
from oompolicy_agent.adjuster.scores import container_of, process_scores
from oompolicy_agent.adjuster.solver import Solution, solve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from oompolicy_agent.adjuster.badness import Scope
    from oompolicy_agent.adjuster.group import Group, Process
    from oompolicy_agent.adjuster.originals import Original, Originals


class Write(Protocol):
    """Writes the oom_score_adj of one process."""

    def __call__(self, process: Process, score: int, /) -> bool:
        """Return True if the process has the score now."""


class Enforcer:
    """Brings the processes to the scores of a solution, or back to their original values."""

    def __init__(self, originals: Originals, write: Write) -> None:
        self._originals, self._write, self._own = originals, write, OwnValues()

    @property
    def has_originals(self) -> bool:
        """True while a process may have a score in place of its original value."""
        return bool(self._originals.known)

    def enforce(self, groups: Sequence[Group], scopes: Sequence[Scope], host_priority: int) -> Solution:
        """Solve and write. OSError if the original values cannot be made durable: then no score is written."""
        originals = self.learn(groups)
        solution = solve_for(groups, originals, scopes, host_priority)
        self._originals.remember(originals)
        for group in groups:
            original = originals[group.cgroup]
            scores = process_scores(group, original, solution.scores[group.cgroup], host_priority)
            written = {each.id: scores[each.id] for each in group.processes if self._bring(each, scores[each.id])}
            self._own.wrote(group, written, original)
        return solution

    def audit(self, groups: Sequence[Group], scopes: Sequence[Scope], host_priority: int) -> Solution:
        """Solve, and write nothing."""
        return solve_for(groups, self.learn(groups), scopes, host_priority)

    def restore(self, groups: Sequence[Group]) -> bool:
        """Give the processes of these groups their original values, and forget the groups that all have them already.

        Return True if another look is needed: a process may fork before it is restored, and the next look finds such a
        child. OSError if the file cannot be changed. The values are restored all the same.
        """
        scored = [group for group in groups if group.cgroup in self._originals.known]
        done = {group.cgroup for group in scored if self._restored(group)}
        self._originals.forget(done)
        return len(done) < len(scored)

    def forget_all_but(self, groups: Sequence[Group], cgroups: Set[int] | None, others: Iterable[Process] = ()) -> None:
        """Forget processes in none of `groups`, all of a look, and cgroups that are gone. OSError as above.

        `cgroups` is None if the look did not read all cgroups of pods, and none is forgotten then. `others` are
        processes outside of the groups that are not forgotten either.
        """
        if cgroups is not None:
            self._originals.forget(set(self._originals.known) - cgroups)
        self._own.keep((*(each for group in groups for each in group.processes), *others), self._originals.known.keys())

    def learn(self, groups: Sequence[Group]) -> dict[int, Original]:
        """Return the original values by cgroup id. Call it before the groups of a look are written."""
        known = self._originals.known
        return {group.cgroup: self._own.originals_of(group, known.get(group.cgroup)) for group in groups}

    def _restored(self, group: Group) -> bool:
        """Write the missing original values of a group. Return True if none was missing."""
        original = self._own.originals_of(group, self._originals.known[group.cgroup])
        missing = [each for each in group.processes if each.score != original.of(each.id)]
        for process in missing:
            self._write(process, original.of(process.id))
        return not missing

    def _bring(self, process: Process, score: int) -> bool:
        return process.score == score or self._write(process, score)


def solve_for(
    groups: Sequence[Group], originals: Mapping[int, Original], scopes: Sequence[Scope], host_priority: int
) -> Solution:
    """Return the solution for groups with these original values by cgroup id."""
    step = min(scope.step for scope in scopes)
    containers = [container_of(group, originals[group.cgroup], step, host_priority) for group in groups]
    return solve(containers, scopes, host_priority)
