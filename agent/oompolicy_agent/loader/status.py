# SPDX-License-Identifier: Apache-2.0
"""Status: the report, and beside it what is there right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy_agent.kernel.maps import PriorityMap
from oompolicy_agent.loader import generation, module, pins, report

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.loader.options import Options
    from oompolicy_agent.loader.pins import Pins


def status(options: Options) -> dict[str, Any]:
    """The report's keys, and `live`: the module, each generation's programs (attached or not), maps and entries."""
    tree = pins.Pins(options.bpffs)
    live = {
        "module": {"loaded": module.loaded(), "srcversion": module.running_version()},
        "generations": {name: _programs(tree.links / name) for name in tree.generations},
        "maps": pins.names_in(tree.maps),
        "entries": _entries(tree),
    }
    return {**report.read(options.report), "live": live}


def _programs(folder: Path) -> dict[str, bool]:
    return {name: program is not None for name, program in generation.programs(folder).items()}


def _entries(tree: Pins) -> int | None:
    try:
        with PriorityMap(tree.maps / "cgroup_priority") as priorities:
            return len(priorities.entries())
    except FileNotFoundError:
        return None
