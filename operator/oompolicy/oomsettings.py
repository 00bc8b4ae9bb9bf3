# SPDX-License-Identifier: Apache-2.0
"""The records of OOMSettings, the one object with the settings of the whole cluster.

All are frozen, compare by value and hold only values that were checked (`oompolicy.parse`).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from oompolicy.model import MAX_PRIORITY, Defaults, LabelSelector

NAME: Final = "cluster"
"""The only name that an OOMSettings can have."""

MAX_NODE_MODES: Final = 16
"""The number of entries in `nodeModes`."""

MAX_KILLS_PER_MINUTE: Final = 10_000
"""The highest `maxKillsPerMinute`. A node cannot run out of memory more often."""


class Mode(StrEnum):
    """The modes of a node, spelt as in `spec.mode`."""

    ENFORCE = "Enforce"
    """The policies choose the victim."""
    AUDIT = "Audit"
    """The kernel chooses the victim, and the node reports the choice of the policies."""
    OFF = "Off"
    """The kernel chooses the victim."""


class TieBreak(StrEnum):
    """The order of processes with the same priority, spelt as in `spec.tieBreak`."""

    LARGEST_MEMORY = "LargestMemory"
    """The kernel's own order by badness, which is mostly memory."""
    MOST_OVER_REQUEST = "MostOverRequest"
    """The container that uses the most memory above its request comes first."""


@dataclass(frozen=True, slots=True)
class NodeMode:
    """One entry of `nodeModes`: the mode of the nodes whose labels the selector selects."""

    selector: LabelSelector
    mode: Mode


@dataclass(frozen=True, slots=True)
class OOMSettings:
    """The OOMSettings object. `minimum_victim_memory` is in bytes. `max_kills_per_minute` is 0 for no limit.

    `host_priority` is the priority of processes in no pod, and `defaults` are those of pods without a policy.
    Settings from a hand-written file have `generation` 0 and `uid` `None`.

    Without `suspend`, `mode` is for each node that no entry of `node_modes` selects. The first such entry applies.
    """

    mode: Mode
    suspend: bool = False
    node_modes: tuple[NodeMode, ...] = ()
    disclose_other_namespaces: bool = False
    tie_break: TieBreak = TieBreak.LARGEST_MEMORY
    minimum_victim_memory: int = 0
    max_kills_per_minute: int = 0
    host_priority: int = MAX_PRIORITY
    defaults: Defaults = field(default_factory=Defaults)
    name: str = NAME
    generation: int = 0
    uid: str | None = None


class ProgramSettings(NamedTuple):
    """The settings that the programs of one node should have. `minimum_victim_memory` is in bytes.

    `host_priority` is the priority of processes in no pod.
    """

    mode: Mode
    tie_break: TieBreak = TieBreak.LARGEST_MEMORY
    minimum_victim_memory: int = 0
    host_priority: int = MAX_PRIORITY
