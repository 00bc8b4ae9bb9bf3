# SPDX-License-Identifier: Apache-2.0
"""Count the waiting victims of each container, so that no container takes the room of another one. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN: Final = "?"
"""The group of files that are not read yet. No cgroup has this name."""


class Shares:
    """The names of victims by group, each group in the order of arrival."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, None]] = {}
        self._of: dict[str, str] = {}

    def add(self, name: str, group: str) -> None:
        """Add a victim to a group. A victim of another group moves."""
        if self._of.get(name) != group:
            self.remove(name)
            self._of[name] = group
            self._groups.setdefault(group, {})[name] = None

    def remove(self, name: str) -> None:
        """Remove a victim, if it exists."""
        group = self._of.pop(name, None)
        if group is not None:
            del self._groups[group][name]
            if not self._groups[group]:
                del self._groups[group]

    def count(self, group: str) -> int:
        """Return the number of victims of a group."""
        return len(self._groups.get(group, ()))

    def newest(self, group: str) -> Iterator[str]:
        """Return the victims of a group, the newest first."""
        return reversed(self._groups.get(group, {}))

    def unread(self) -> tuple[str, ...]:
        """Return the victims with an unknown group."""
        return tuple(self._groups.get(UNKNOWN, ()))

    def to_drop(self) -> str:
        """Return the oldest victim of the largest group. Of several such groups, the earliest one counts."""
        largest = max(self._groups, key=lambda group: len(self._groups[group]))
        return next(iter(self._groups[largest]))
