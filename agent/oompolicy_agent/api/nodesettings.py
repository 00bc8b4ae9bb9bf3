# SPDX-License-Identifier: Apache-2.0
"""The settings of this node at the API server: OOMSettings for all nodes, and the spec of this node's OOMNode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode, OOMSettings, ProgramSettings
from oompolicy.parse import InvalidObject, parse_settings
from oompolicy.resolve.modes import program_settings
from oompolicy.text import clip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.parse import Problem
    from oompolicy_agent.api.collected import TrimmedObject

_LENGTH = 300
"""Characters of a sentence about an object."""


class NodeSettings:
    """The last good settings. `problems` and `unknown` are sentences about the objects that were read last.

    Settings that were known once stay in force if OOMSettings is deleted or becomes invalid. Otherwise, deleting an
    OOMSettings that stops everything would start it.
    """

    def __init__(self) -> None:
        self._settings: OOMSettings | None = None
        self._of_node: Mode | None = None
        self._restored_defaults = Defaults()
        self.problems: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()

    @property
    def wanted(self) -> ProgramSettings | None:
        """The settings of this node's programs, or None while no OOMSettings is known."""
        return program_settings(self._settings, self._of_node) if self._settings else None

    @property
    def defaults(self) -> Defaults:
        """The priorities of pods without a policy. While no OOMSettings is known, those of the checkpoint."""
        return self._settings.defaults if self._settings else self._restored_defaults

    @property
    def max_kills(self) -> int | None:
        """The kills by policies in a minute that the node may reach, 0 for no limit, or None as `wanted`."""
        return self._settings.max_kills_per_minute if self._settings else None

    @property
    def discloses(self) -> bool:
        """True if the Event of a victim may name pods of other namespaces."""
        return bool(self._settings and self._settings.disclose_other_namespaces)

    def restore(self, defaults: Defaults | None) -> None:
        """Take over the defaults from the checkpoint. None means the built-in ones."""
        self._restored_defaults = defaults or Defaults()

    def update(self, settings: Iterable[TrimmedObject], oomnodes: Iterable[TrimmedObject]) -> None:
        """Take over the objects: at most one OOMSettings, and at most this node's OOMNode."""
        problems: list[str] = []
        unknown: list[Problem] = []
        for each in settings:
            try:
                self._settings = parse_settings(json.loads(each.text), unknown=unknown)
            except InvalidObject as error:
                problems += (f"{problem}; the last good settings stay in force" for problem in error.problems)
        of_node: dict[str, Any] = next((json.loads(each.text) for each in oomnodes), {})
        self._of_node = _mode(of_node, problems)
        self.problems = tuple(clip(problem, _LENGTH) for problem in problems)
        self.unknown = tuple(clip(str(problem), _LENGTH) for problem in unknown)


def _mode(oomnode: dict[str, Any], problems: list[str]) -> Mode | None:
    """Return `spec.mode`, or None if it is absent or of a later version."""
    spec = oomnode.get("spec")
    mode = spec.get("mode") if isinstance(spec, dict) else None
    if mode is None or mode in list(Mode):
        return mode and Mode(mode)
    problems.append(f"OOMNode: spec.mode: this agent knows no mode {mode!r}, and the mode of OOMSettings applies")
    return None
