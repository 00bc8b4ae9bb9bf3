# SPDX-License-Identifier: Apache-2.0
"""Decide the mode of a node. Pure.

The operator decides which entry of `nodeModes` applies to a node, because an agent cannot read the labels of its Node.
It writes the mode of this entry to `OOMNode.spec.mode`, and the agent decides the rest.
"""

from collections.abc import Mapping

from oompolicy.oomsettings import Mode, OOMSettings, ProgramSettings
from oompolicy.resolve.disjoint import implies, satisfiable
from oompolicy.resolve.matching import selects


def deciding_entry(settings: OOMSettings, labels: Mapping[str, str]) -> int | None:
    """Return the index of the first entry of `nodeModes` that selects a node with these labels, or `None`."""
    entries = enumerate(settings.node_modes)
    return next((index for index, entry in entries if selects(entry.selector, labels)), None)


def node_mode(settings: OOMSettings, labels: Mapping[str, str]) -> Mode | None:
    """Return the mode of the first entry of `nodeModes` that selects a node with these labels, or `None`."""
    index = deciding_entry(settings, labels)
    return None if index is None else settings.node_modes[index].mode


def effective_mode(settings: OOMSettings, of_node: Mode | None) -> Mode:
    """Return the mode that a node has to be in. `of_node` is `OOMNode.spec.mode`, or `None` if it is not set."""
    return Mode.OFF if settings.suspend else of_node or settings.mode


def program_settings(settings: OOMSettings, of_node: Mode | None) -> ProgramSettings:
    """Return the settings of the programs of a node. `of_node` is that of `effective_mode`."""
    return ProgramSettings(
        effective_mode(settings, of_node), settings.tie_break, settings.minimum_victim_memory, settings.host_priority
    )


def never_deciding(settings: OOMSettings) -> Mapping[int, int | None]:
    """Return the entries of `nodeModes` that cannot apply to any node, whatever its labels are.

    Each is returned by its index, with the index of an earlier entry that selects all of its nodes. The value is `None`
    if the entry selects no node because its requirements contradict each other.
    A node that several earlier entries select only together is not found here.
    """
    selectors = [entry.selector for entry in settings.node_modes]
    found: dict[int, int | None] = {}
    for index, selector in enumerate(selectors):
        if not satisfiable(selector):
            found[index] = None
            continue
        earlier = (number for number in range(index) if implies(selector, selectors[number]))
        first = next(earlier, None)
        if first is not None:
            found[index] = first
    return found
