# SPDX-License-Identifier: Apache-2.0
"""Makes the map what is desired, and remembers what it holds between two readings."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from oompolicy_agent.mapping.desired import Value, diff

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Priorities(Protocol):
    """What is needed of `bpf.PriorityMap`."""

    def entries(self) -> dict[int, tuple[int, int]]:
        """All entries."""

    def put(self, cgroup_id: int, priority: int, memory_request: int) -> None:
        """Create or replace one."""

    def delete(self, cgroup_id: int) -> bool:
        """Delete one, if it is there."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done. `missing`: desired entries that a full map has no room for."""

    written: int
    deleted: int
    missing: int


class MapSync:
    """The map as last read and changed. The kernel deletes entries too: `reread` from time to time."""

    def __init__(self) -> None:
        """Nothing known yet."""
        self._held: dict[int, tuple[int, int]] = {}

    @property
    def entries(self) -> int:
        """How many there are."""
        return len(self._held)

    def reread(self, priorities: Priorities) -> None:
        """Look. OSError where the map cannot be read."""
        self._held = priorities.entries()

    def apply(
        self,
        priorities: Priorities,
        wanted: Mapping[int, Value],
        *,
        keep: Collection[int] = frozenset(),
        delete: bool = True,
    ) -> Synced:
        """Act. Entries of the cgroups `keep` stay as they are; without `delete` all do.

        OSError where the map cannot be written; what was done until then is remembered.
        """
        changes = diff(self._held, wanted, keep)
        # First, as a full map has no room for updates otherwise.
        deletes = changes.deletes if delete else ()
        for cgroup_id in deletes:
            priorities.delete(cgroup_id)
            del self._held[cgroup_id]
        missing = sum(not self._put(priorities, cgroup_id, value) for cgroup_id, value in changes.updates.items())
        return Synced(len(changes.updates) - missing, len(deletes), missing)

    def _put(self, priorities: Priorities, cgroup_id: int, value: Value) -> bool:
        try:
            priorities.put(cgroup_id, value.priority, value.memory_request)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            return False
        self._held[cgroup_id] = value
        return True
