# SPDX-License-Identifier: Apache-2.0
"""Keeps the mode of the programs as the cluster wants it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import KernelMode
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)

_MODES: Final = {KernelMode[mode.name].value: mode for mode in Mode}


class ModeSetting(Protocol):
    """The interface of `kernel.maps.SettingsMap` that the mode needs. Every member may raise OSError."""

    @property
    def has_modes(self) -> bool:
        """False if the programs are of a version before modes, which always enforce."""

    def mode(self) -> int:
        """Return the number of the programs' mode."""

    def set_mode(self, mode: KernelMode) -> bool:
        """Change the mode. Return True if it was another one before."""


class NodeMode:
    """The mode of the node. `current` is the last known mode of the programs, or None before the first."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.current: Mode | None = None

    def apply(self, setting: ModeSetting | None, wanted: Mode | None) -> bool:
        """Set the wanted mode. Return True if `current` changed.

        Without a wanted mode, which means that no OOMSettings is known, the programs keep the mode that they have: the
        mode of an earlier OOMSettings, or else the mode that the loader began with. Without pins, nothing changes.
        """
        if setting is None:
            return False
        before = self.current
        try:
            self._apply(setting, wanted)
        except OSError as error:
            self._problems.set(Reason.MODE_NOT_SET, f"the mode {wanted or 'of the node'} cannot be set: {error}")
        return self.current is not before

    def _apply(self, setting: ModeSetting, wanted: Mode | None) -> None:
        if not setting.has_modes:
            self.current = Mode.ENFORCE
            refused = wanted is not None and wanted is not Mode.ENFORCE
            sentence = (
                f"the mode {wanted} is not applied, because the attached programs are of a version before modes and "
                "enforce: the loader could not replace them, see its log"
            )
            self._problems.set(Reason.MODE_NOT_SET, sentence if refused else None)
            return
        if wanted is not None and setting.set_mode(KernelMode[wanted.name]):
            log.warning("the mode is %s from now on", wanted)
        # The program treats an unknown mode as Off.
        self.current = _MODES.get(setting.mode(), Mode.OFF)
        self._problems.set(Reason.MODE_NOT_SET)
