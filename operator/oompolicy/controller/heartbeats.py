# SPDX-License-Identifier: Apache-2.0
"""Judges which agents are silent. Pure, and only the loop's thread uses it.

A heartbeat is a sign of life because it *changed* while this operator watched. Its time is never compared with a clock:
a node whose clock is wrong by a year would otherwise look dead while its agent lives, or alive while it is dead. So
silence is measured with the operator's monotonic clock, from the last change that this operator received. Only time
counts in which the operator could have received a change (see `listen`). The API server may be unreachable for an hour,
and then no agent could write either.

The price is paid after a restart of the operator, which has received nothing yet: it measures from its first list. A
node that was silent before keeps the conditions that an earlier operator wrote, until its agent writes them again.

A new boot needs no clock: the Node has another boot id than the OOMNode. Only an id that differs when it is first
received, and no heartbeat since then, means that the agent has not reported since the boot. An agent may report a new
boot before its kubelet does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class SilentReason(StrEnum):
    """The reasons of the conditions of an OOMNode whose agent is silent. docs/reference.md describes each of them."""

    AGENT_SILENT = "AgentSilent"
    NODE_REBOOTED = "NodeRebooted"


class Heartbeat(NamedTuple):
    """The last heartbeat in an OOMNode. The time is empty if the agent is of a version without heartbeats."""

    time: str = ""
    boot_id: str = ""


class Heartbeats:
    """The heartbeats of all OOMNodes and the boots of all Nodes, by name. Times are in seconds of listening."""

    def __init__(self, silent_after: float) -> None:
        self._silent_after = silent_after
        self._listened = 0.0
        self._last: dict[str, Heartbeat] = {}
        self._received: dict[str, float] = {}  # the time of the last change, longest ago first. Without overdue ones
        self._boots: dict[str, str] = {}
        self._overdue: set[str] = set()
        self._rebooted: set[str] = set()
        self._changed = False

    @property
    def silent(self) -> Mapping[str, SilentReason]:
        """The OOMNodes whose agents are silent, and why."""
        overdue = dict.fromkeys(self._overdue, SilentReason.AGENT_SILENT)
        # The reboot is what matters to a reader, because it removed the programs and priorities from the kernel.
        return overdue | dict.fromkeys(self._rebooted, SilentReason.NODE_REBOOTED)

    @property
    def next(self) -> float:
        """The seconds of listening until the next agent is silent, or infinity without agents that could be."""
        received = next(iter(self._received.values()), float("inf"))
        return max(0.0, received + self._silent_after - self._listened)

    def changed(self) -> bool:
        """Return True if `silent` may have changed since the last call."""
        changed, self._changed = self._changed, False
        return changed

    def listen(self, seconds: float) -> None:
        """Record that for these seconds a change of any OOMNode would have been received."""
        self._listened += seconds
        overdue = []
        for name, received in self._received.items():
            if self._listened - received < self._silent_after:
                break
            overdue.append(name)
        for name in overdue:
            del self._received[name]
            self._put(self._overdue, name, member=True)

    def oomnode(self, name: str, heartbeat: Heartbeat) -> None:
        """Record an OOMNode that was added or changed. Without a heartbeat, nothing can be judged."""
        before = self._last.get(name)
        self._last[name] = heartbeat
        if before == heartbeat:
            return
        self._received.pop(name, None)
        self._put(self._overdue, name, member=False)
        if heartbeat.time:
            self._received[name] = self._listened
        # The first heartbeat that is received may be of any age.
        self._put(self._rebooted, name, member=before is None and self._other_boot(name))

    def oomnode_deleted(self, name: str) -> None:
        """Record that an OOMNode was deleted."""
        self._last.pop(name, None)
        self._received.pop(name, None)
        for silent in (self._overdue, self._rebooted):
            self._put(silent, name, member=False)

    def node(self, name: str, boot_id: str) -> None:
        """Record a Node that was added or changed. The id is empty until the kubelet has reported it."""
        if boot_id and self._boots.get(name) != boot_id:
            self._boots[name] = boot_id
            self._put(self._rebooted, name, member=self._other_boot(name))

    def node_deleted(self, name: str) -> None:
        """Record that a Node was deleted."""
        self._boots.pop(name, None)
        self._put(self._rebooted, name, member=False)

    def _other_boot(self, name: str) -> bool:
        boot, reported = self._boots.get(name, ""), self._last.get(name, Heartbeat()).boot_id
        return bool(boot and reported) and boot != reported

    def _put(self, silent: set[str], name: str, *, member: bool) -> None:
        if (name in silent) == member:
            return
        self._changed = True
        if member:
            silent.add(name)
        else:
            silent.remove(name)
