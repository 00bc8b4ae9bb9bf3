# SPDX-License-Identifier: Apache-2.0
"""The mode of each node: in OOMSettings, in `spec.mode` of its OOMNode, and as its agent reports it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.controller.settingstable import SettingsTable
from oompolicy.oomsettings import Mode
from oompolicy.resolve.modes import deciding_entry, effective_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.nodetable import NodeReport


class Difference(NamedTuple):
    """The mode that a node has to be in, and another mode that its agent reports."""

    wanted: Mode
    reported: str


class ModeTable:
    """The settings, the labels of all Nodes by name, and the conclusions from the last reports.

    A spec.mode that another field manager has written stays as it is. A user who sets the mode of one node by hand has
    a reason, and the conditions of OOMSettings name the node.
    """

    def __init__(self) -> None:
        self.settings = SettingsTable()
        self._labels: dict[str, tuple[str, ...]] = {}  # each key with its value, which takes less memory than a dict
        self._entries: dict[str, int] = {}  # by name of the Node: the index of the entry that applies to it
        self._entries_of: object = None  # the settings that the entries were found with
        self._differing: dict[str, tuple[Difference, float]] = {}  # by name, with the time since when it is so
        self._differences: dict[str, Difference] = {}
        self.unwritten: dict[str, Mode | None] = {}
        """The OOMNodes by uid whose spec.mode has to be written. `None`: it has to be removed."""
        self.overridden: dict[str, tuple[str, str]] = {}
        """The OOMNodes by name whose spec.mode another field manager has written: the mode, and the manager."""

    def node(self, name: str, labels: Mapping[str, str]) -> bool:
        """Record the labels of a Node. Return True if they are new."""
        flat = tuple(chain.from_iterable(sorted(labels.items())))
        if self._labels.get(name) == flat:
            return False
        self._labels[name] = flat
        self._entries.pop(name, None)
        if self.settings.valid and self._entries_of is self.settings.valid:
            self._find(name)
        return True

    def node_deleted(self, name: str) -> None:
        """Record that a Node was deleted."""
        self._labels.pop(name, None)
        self._entries.pop(name, None)

    def applied_entries(self) -> set[int]:
        """Return the indexes of the entries of `nodeModes` that apply to at least one Node."""
        return set(self._entries.values())

    def evaluate(self, reports: Iterable[tuple[str, NodeReport]], silent: Iterable[str]) -> None:
        """Draw the conclusions from the reports of all Nodes, each with the uid of its OOMNode.

        A silent node is not expected to report its mode.
        """
        if self._entries_of is not self.settings.valid:
            self._find_all()
        quiet = set(silent)
        self.unwritten, self.overridden, self._differences = {}, {}, {}
        settings = self.settings.valid
        if settings is None:
            return
        for uid, report in reports:
            wanted = effective_mode(settings, self._of_node(uid, report))
            if report.mode and report.mode != wanted and report.name not in quiet:
                self._differences[report.name] = Difference(wanted, report.mode)

    def late(self, now: float, settle: float) -> Mapping[str, Difference]:
        """Return the nodes that have reported another mode for at least `settle` seconds, by name."""
        self._differing = {
            name: before if before and before[0] == difference else (difference, now)
            for name, difference in self._differences.items()
            for before in (self._differing.get(name),)
        }
        return {name: difference for name, (difference, since) in self._differing.items() if now - since >= settle}

    def next_late(self, now: float, settle: float) -> float:
        """Return the time at which the next node is late, or infinity."""
        times = (since + settle for _, since in self._differing.values())
        return min((time for time in times if time > now), default=float("inf"))

    @property
    def differing(self) -> int:
        """The number of nodes that report another mode than the wanted one."""
        return len(self._differences)

    def _of_node(self, uid: str, report: NodeReport) -> Mode | None:
        """Return the mode that `spec.mode` of the OOMNode has or will have, and note a difference between both."""
        spec, present = report.spec, _mode(report.spec.mode)
        if spec.mode and (spec.others or not spec.own):
            self.overridden[report.name] = (spec.mode, ", ".join(spec.others) or "unknown")
            return present
        index, settings = self._entries.get(report.name), self.settings.valid
        wanted = settings.node_modes[index].mode if settings and index is not None else None
        if wanted != present:
            self.unwritten[uid] = wanted
        return wanted

    def _find_all(self) -> None:
        self._entries.clear()
        self._entries_of = self.settings.valid
        for name in self._labels:
            self._find(name)

    def _find(self, name: str) -> None:
        settings = self.settings.valid
        labels = iter(self._labels[name])
        index = deciding_entry(settings, dict(zip(labels, labels, strict=True))) if settings else None
        if index is not None:
            self._entries[name] = index


def _mode(text: str) -> Mode | None:
    return Mode(text) if text in list(Mode) else None
