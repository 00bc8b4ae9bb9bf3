# SPDX-License-Identifier: Apache-2.0
"""The records of OOMSettings, the one object with the settings of the whole cluster.

All are frozen, compare by value and hold only values that were checked (`oompolicy.parse`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from oompolicy.model import LabelSelector

NAME: Final = "cluster"
"""The only name that an OOMSettings can have."""

MAX_NODE_MODES: Final = 16
"""The number of entries in `nodeModes`."""


class Mode(StrEnum):
    """The modes of a node, spelt as in `spec.mode`."""

    ENFORCE = "Enforce"
    """The policies choose the victim."""
    AUDIT = "Audit"
    """The kernel chooses the victim, and the node reports the choice of the policies."""
    OFF = "Off"
    """The kernel chooses the victim."""


@dataclass(frozen=True, slots=True)
class NodeMode:
    """One entry of `nodeModes`: the mode of the nodes whose labels the selector selects."""

    selector: LabelSelector
    mode: Mode


@dataclass(frozen=True, slots=True)
class OOMSettings:
    """The OOMSettings object. Settings from a hand-written file have `generation` 0 and `uid` `None`.

    Without `suspend`, `mode` is for each node that no entry of `node_modes` selects. The first such entry applies.
    """

    mode: Mode
    suspend: bool = False
    node_modes: tuple[NodeMode, ...] = ()
    disclose_other_namespaces: bool = False
    name: str = NAME
    generation: int = 0
    uid: str | None = None
