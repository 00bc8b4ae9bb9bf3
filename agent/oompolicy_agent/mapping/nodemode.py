# SPDX-License-Identifier: Apache-2.0
"""Keeps the mode and the other settings of the programs as the cluster wants them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from oompolicy.model import MAX_PRIORITY
from oompolicy.oomsettings import Mode, ProgramSettings
from oompolicy_agent.kernel.layout import KernelMode, KernelTieBreak
from oompolicy_agent.mapping.circuit import limited
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

    While the circuit is open, the programs audit in place of Enforce. `saved` is the mode for the checkpoint, which is
    Enforce then. So the Audit of the circuit outlives neither the circuit nor the boot, also without an API server.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.current: Mode | None = None
        self.host_priority = MAX_PRIORITY
        self._limited = False
        self._alone = False  # no OOMSettings is known, and the circuit was open when the agent started

    @property
    def saved(self) -> Mode | None:
        """The mode of the node apart from the circuit, or None before the first."""
        return Mode.ENFORCE if self._limited or self._alone else self.current

    def restore(self, mode: Mode | None, host_priority: int | None, *, circuit_open: bool = False) -> None:
        """Begin with the values from the checkpoint."""
        self._limited = self._alone = circuit_open and mode is Mode.ENFORCE
        self.current = Mode.AUDIT if self._limited else mode
        self.host_priority = MAX_PRIORITY if host_priority is None else host_priority

    def apply(
        self, settings: SettingsPin | None, wanted: ProgramSettings | None, *, circuit_open: bool = False
    ) -> bool:
        """Set the wanted mode and the other settings. Return True if a value for the checkpoint changed.

        With `circuit_open`, Audit takes the place of Enforce.
        Without wanted settings, which means that no OOMSettings is known, the programs keep those that they have: the
        settings of an earlier OOMSettings, or else the mode that the loader began with. Only the mode of the circuit
        ends with it. Without pins, the programs do not change.
        """
        before = self._values()
        wanted = self._limit(wanted, circuit_open=circuit_open)
        if settings is None:
            return self._values() != before
        try:
            self._apply(settings, wanted)
        except OSError as error:
            mode = wanted.mode if wanted else "of the node"
            self._problems.set(Reason.MODE_NOT_SET, f"the mode {mode} cannot be set: {error}")
        return self._values() != before

    def apply_without_programs(self, wanted: ProgramSettings | None, *, circuit_open: bool = False) -> bool:
        """Take over the settings on a node on which no program has them. Return True as `apply` does."""
        before = self._values()
        wanted = self._limit(wanted, circuit_open=circuit_open)
        if wanted:
            self.current, self.host_priority = wanted.mode, wanted.host_priority
        elif self._alone:
            self.current = self._mode_alone
        return self._values() != before

    @property
    def _mode_alone(self) -> Mode:
        return Mode.AUDIT if self._limited else Mode.ENFORCE

    def _values(self) -> tuple[Mode | None, Mode | None, int]:
        return self.current, self.saved, self.host_priority

    def _limit(self, wanted: ProgramSettings | None, *, circuit_open: bool) -> ProgramSettings | None:
        if wanted is None:
            self._limited = circuit_open and self._alone
            return None
        self._alone = False
        self._limited = circuit_open and wanted.mode is Mode.ENFORCE
        return limited(wanted) if circuit_open else wanted

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
        elif self._alone and settings.change(mode=KernelMode[self._mode_alone.name]):
            log.warning("from now on, the mode of the programs is %s, as the circuit asks", self._mode_alone)
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
