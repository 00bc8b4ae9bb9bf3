# SPDX-License-Identifier: Apache-2.0
"""A generation: all programs of one object, attached, their links pinned in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.loader import bpftool, pins
from oompolicy_agent.loader.errors import LoaderError

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.bpf import MapInfo
    from oompolicy_agent.loader.objectfile import BPFObject


def build(obj: BPFObject, maps: Path, folder: Path) -> None:
    """Load and attach `obj` with the maps pinned in `maps`. After an error nothing of it is left."""
    folder.mkdir(mode=pins.FOLDER_MODE)
    try:
        bpftool.load(obj.path, folder, {name: maps / name for name in pins.MAPS})
        _require_complete(obj, maps, folder)
    except BaseException:
        pins.remove(folder)
        raise


def _require_complete(obj: BPFObject, maps: Path, folder: Path) -> None:
    if lacking := flaw(obj, pins.shapes(maps), folder):
        raise LoaderError(f"{obj.path.name} was loaded, but {lacking}")


def flaw(obj: BPFObject, maps: dict[str, MapInfo], folder: Path) -> str | None:
    """What keeps `folder` from being a complete generation of `obj` that uses these maps; None if nothing does."""
    if absent := obj.programs.difference(pins.names_in(folder)):
        return f"these programs are not pinned: {', '.join(sorted(absent))}"
    programs = {name: bpftool.program_of(folder / name) for name in sorted(obj.programs)}
    # Where a program cannot be attached bpftool pins the program itself, and says nothing in its exit status.
    if loose := [name for name, program in programs.items() if program is None]:
        return f"these programs are not attached: {', '.join(loose)}"
    used = frozenset[int]().union(*(bpftool.maps_of(program) or () for program in programs.values() if program))
    if foreign := [name for name, info in maps.items() if info.id not in used]:
        return f"its programs use other maps than those pinned: {', '.join(foreign)}"
    return None


def programs(folder: Path) -> dict[str, int | None]:
    """The program id behind each pin of a generation; None where there is no link."""
    return {name: bpftool.program_of(folder / name) for name in pins.names_in(folder)}
