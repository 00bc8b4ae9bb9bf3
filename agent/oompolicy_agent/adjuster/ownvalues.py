# SPDX-License-Identifier: Apache-2.0
"""Tell the values that a workload or the runtime set from those that the adjuster wrote.

A process can have an oom_score_adj of its own: PostgreSQL protects its first process and not the others. A child has
the value of its parent at the time of the fork, which may be a score of the adjuster. `kubectl exec` starts processes
with the runtime's value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster.originals import Original

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from oompolicy_agent.adjuster.group import Group, Process, ProcessId


@dataclass(frozen=True, slots=True)
class _Written:
    """The score of a process, and its value before the last write, which a child from just before that has."""

    score: int
    before: int
    original: int


class OwnValues:
    """The scores that this adjuster wrote. Each look calls `originals_of`, then `wrote`, and `keep` at its end."""

    def __init__(self) -> None:
        self._written: dict[ProcessId, _Written] = {}
        self._by_pid: dict[int, ProcessId] = {}
        self._seen: set[int] = set()

    def originals_of(self, group: Group, known: Original | None) -> Original:
        """Return the original values of a group. `known` are those that the file has."""
        values = {each.id: self._original(each, group, known) for each in group.processes}
        first = known.value if known else values[group.processes[0].id]
        return Original(first, {process: value for process, value in values.items() if value != first})

    def wrote(self, group: Group, scores: Mapping[ProcessId, int], original: Original) -> None:
        """Take note of the scores in force after a look, also of those that did not change."""
        self._seen.add(group.cgroup)
        for process in group.processes:
            if process.id in scores:
                self._written[process.id] = _Written(scores[process.id], process.score, original.of(process.id))
                self._by_pid[process.id.pid] = process.id

    def keep(self, processes: Iterable[Process], cgroups: Set[int]) -> None:
        """Forget all processes but these, and all cgroups but these.

        A cgroup without a process is still one that this adjuster saw: its next process is new.
        """
        self._seen &= cgroups
        alive = {each.id for each in processes}
        self._written = {process: written for process, written in self._written.items() if process in alive}
        self._by_pid = {process.pid: process for process in self._written}

    def _original(self, process: Process, group: Group, known: Original | None) -> int:
        last = self._written.get(process.id)
        if last:
            return last.original if process.score == last.score else process.score
        if known and (process.id in known.own or group.cgroup not in self._seen):
            # An earlier adjuster wrote the score, and nothing shows whether the process changed it since.
            return known.of(process.id)
        parent = self._by_pid.get(process.parent)
        if parent and self._inherited(process, parent):
            return self._written[parent].original
        if known and process.score == known.value:
            return known.value
        # The parent may have ended.
        relatives = (each.id for each in group.processes if self._inherited(process, each.id))
        return next((self._written[relative].original for relative in relatives), process.score)

    def _inherited(self, process: Process, relative: ProcessId) -> bool:
        written = self._written.get(relative)
        return written is not None and process.score in (written.score, written.before)
