# SPDX-License-Identifier: Apache-2.0
"""Keeps the mode and the other settings of the programs as the cluster wants them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from oompolicy.model import MAX_PRIORITY
from oompolicy.oomsettings import Mode, ProgramSettings
from oompolicy_agent.kernel.layout import KernelMode, KernelTieBreak
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)

_MODES: Final = {KernelMode[mode.name].value: mode for mode in Mode}


class SettingsPin(Protocol):
    """The interface of `kernel.maps.SettingsMap` that this module needs. Every member may raise OSError."""

    @property
    def has_modes(self) -> bool:
        """False if the programs are of a version before modes, which always enforce."""

    def mode(self) -> int:
        """Return the number of the programs' mode."""

    def host_priority(self) -> int:
        """Return the priority of processes outside of pods."""

    def change(self, **fields: int) -> bool:
        """Change some settings. Return True if one of them had another value."""


class NodeMode:
    """The mode of the node, and the priority of processes outside of pods, which the checkpoint has too.

    `current` is the last known mode of the programs, or None before the first. `host_priority` is their last known
    priority of processes outside of pods.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.current: Mode | None = None
        self.host_priority = MAX_PRIORITY

    def restore(self, mode: Mode | None, host_priority: int | None) -> None:
        """Begin with the values from the checkpoint."""
        self.current = mode
        self.host_priority = MAX_PRIORITY if host_priority is None else host_priority

    def apply(self, settings: SettingsPin | None, wanted: ProgramSettings | None) -> bool:
        """Set the wanted mode and the other settings. Return True if `current` or `host_priority` changed.

        Without wanted settings, which means that no OOMSettings is known, the programs keep those that they have: the
        settings of an earlier OOMSettings, or else the mode that the loader began with. Without pins, nothing changes.
        """
        if settings is None:
            return False
        before = self.current, self.host_priority
        try:
            self._apply(settings, wanted)
        except OSError as error:
            mode = wanted.mode if wanted else "of the node"
            self._problems.set(Reason.MODE_NOT_SET, f"the mode {mode} cannot be set: {error}")
        return (self.current, self.host_priority) != before

    def apply_without_programs(self, wanted: ProgramSettings | None) -> bool:
        """Take over the settings on a node on which no program has them. Return True as `apply` does."""
        before = self.current, self.host_priority
        self.current, self.host_priority = (wanted.mode, wanted.host_priority) if wanted else before
        return (self.current, self.host_priority) != before

    def _apply(self, settings: SettingsPin, wanted: ProgramSettings | None) -> None:
        if not settings.has_modes:
            self.current = Mode.ENFORCE
            refused = wanted is not None and wanted != ProgramSettings(Mode.ENFORCE)
            sentence = (
                "the settings of OOMSettings are not applied, because the attached programs are of another version and "
                "enforce: the loader could not replace them, see its log"
            )
            self._problems.set(Reason.MODE_NOT_SET, sentence if refused else None)
            return
        if wanted is not None and settings.change(**_fields(wanted)):
            log.warning("from now on, the settings of the programs are: %s", _words(wanted))
        # The program treats an unknown mode as Off.
        self.current = _MODES.get(settings.mode(), Mode.OFF)
        self.host_priority = settings.host_priority()
        self._problems.set(Reason.MODE_NOT_SET, None)


def _fields(wanted: ProgramSettings) -> dict[str, int]:
    """Return the fields of `layout.Settings` that the agent writes."""
    return {
        "mode": KernelMode[wanted.mode.name],
        "tie_break": KernelTieBreak[wanted.tie_break.name],
        "minimum_victim_memory": wanted.minimum_victim_memory,
        "host_priority": wanted.host_priority,
    }


def _words(wanted: ProgramSettings) -> str:
    return (
        f"mode {wanted.mode}, tieBreak {wanted.tie_break}, minimumVictimMemory {wanted.minimum_victim_memory}, "
        f"hostPriority {wanted.host_priority}"
    )
