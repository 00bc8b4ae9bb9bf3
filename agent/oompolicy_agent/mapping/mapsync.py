# SPDX-License-Identifier: Apache-2.0
"""Write the wanted entries into the map, and remember the content of the map between two reads."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from oompolicy_agent.mapping.desired import Value, diff

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Priorities(Protocol):
    """The interface of `maps.PriorityMap` that is needed here."""

    def entries(self) -> dict[int, tuple[int, int]]:
        """Return all entries."""

    def put(self, cgroup_id: int, priority: int, memory_request: int) -> None:
        """Create or replace one entry."""

    def delete(self, cgroup_id: int) -> bool:
        """Delete one entry, if it exists."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of a write. `missing` is the number of wanted entries that a full map has no room for."""

    written: int
    deleted: int
    missing: int


class MapSync:
    """The content of the map as last read and changed. The kernel deletes entries too, so call `reread` regularly."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}

    @property
    def entries(self) -> int:
        """The number of entries in the map."""
        return len(self._held)

    def has(self, cgroup_id: int) -> bool:
        """Return True if the map has an entry of this cgroup."""
        return cgroup_id in self._held

    def reread(self, priorities: Priorities) -> None:
        """Read the map. Raise OSError if that fails."""
        self._held = priorities.entries()

    def apply(
        self,
        priorities: Priorities,
        wanted: Mapping[int, Value],
        *,
        keep: Collection[int] = frozenset(),
        delete: bool = True,
    ) -> Synced:
        """Write the wanted entries. Entries of the cgroups `keep` stay as they are, and without `delete` all do.

        Raise OSError if the map cannot be written. The changes until then are remembered.
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
