# SPDX-License-Identifier: Apache-2.0
"""The verb `status`: the last report, and the programs and maps that are attached and pinned now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy_agent.kernel.maps import PriorityMap
from oompolicy_agent.loader import generation, module, report
from oompolicy_agent.loader.pinfolder import PinFolder, names_in

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.loader.settings import Settings


def status(settings: Settings) -> dict[str, Any]:
    """Return the report's keys, and `live`: the module, each generation's programs, the maps and the entries.

    A program is True if it is attached. `entries` is None if the map does not exist.
    """
    pins = PinFolder(settings.bpffs)
    live = {
        "module": {"loaded": module.loaded(), "srcversion": module.running_version()},
        "generations": {name: _programs(pins.links / name) for name in pins.generations},
        "maps": names_in(pins.maps),
        "entries": _entries(pins),
    }
    return {**report.read(settings.report), "live": live}


def _programs(folder: Path) -> dict[str, bool]:
    return {name: program is not None for name, program in generation.programs(folder).items()}


def _entries(pins: PinFolder) -> int | None:
    try:
        with PriorityMap(pins.maps / "cgroup_priority") as priorities:
            return len(priorities.entries())
    except FileNotFoundError:
        return None
