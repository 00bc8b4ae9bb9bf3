# SPDX-License-Identifier: Apache-2.0
"""Knows who has how many of the victims that wait, so that no container takes another one's room. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN: Final = "?"
"""The group of what was found on disk and not read yet; no cgroup has such a name."""


class Shares:
    """Names of victims by their group, each in the order of arrival."""

    def __init__(self) -> None:
        """Nobody has any."""
        self._groups: dict[str, dict[str, None]] = {}
        self._of: dict[str, str] = {}

    def add(self, name: str, group: str) -> None:
        """One more of this group; a name of another group moves."""
        if self._of.get(name) != group:
            self.remove(name)
            self._of[name] = group
            self._groups.setdefault(group, {})[name] = None

    def remove(self, name: str) -> None:
        """One less, if it was there."""
        group = self._of.pop(name, None)
        if group is not None:
            del self._groups[group][name]
            if not self._groups[group]:
                del self._groups[group]

    def count(self, group: str) -> int:
        """How many this group has."""
        return len(self._groups.get(group, ()))

    def newest(self, group: str) -> Iterator[str]:
        """Those of a group, the newest first."""
        return reversed(self._groups.get(group, {}))

    def unread(self) -> tuple[str, ...]:
        """Those whose group is not known."""
        return tuple(self._groups.get(UNKNOWN, ()))

    def to_drop(self) -> str:
        """The oldest of the group that has the most; of several such groups, of that which came first."""
        largest = max(self._groups, key=lambda group: len(self._groups[group]))
        return next(iter(self._groups[largest]))
