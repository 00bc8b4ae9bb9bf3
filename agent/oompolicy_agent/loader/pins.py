# SPDX-License-Identifier: Apache-2.0
"""The tree of pins on bpffs, and how it changes without a moment without policy.

maps/               the five maps
maps_new/           while maps change their shape
links/<hash>/       the attached programs of one object: a generation
links/building_<n>/ a generation that is not known to be complete

bpffs reserves names with a dot.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.bpf import Map, MapInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAPS: Final = ("cgroup_priority", "events", "cgroups", "stats", "settings")
FOLDER_MODE: Final = 0o711

_BUILDING: Final = "building_"
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@dataclass(frozen=True, slots=True)
class Pins:
    """The tree at `root`, usually /sys/fs/bpf/oompolicy."""

    root: Path

    @property
    def maps(self) -> Path:
        """The maps in use."""
        return self.root / "maps"

    @property
    def maps_new(self) -> Path:
        """Maps that will be."""
        return self.root / "maps_new"

    @property
    def links(self) -> Path:
        """One folder per generation."""
        return self.root / "links"

    @property
    def generations(self) -> tuple[str, ...]:
        """Names of all generations, those being built too."""
        return names_in(self.links)

    def new_generation(self) -> Path:
        """A folder that is not there yet."""
        taken = self.generations
        free = next(n for n in range(len(taken) + 1) if f"{_BUILDING}{n}" not in taken)
        return self.links / f"{_BUILDING}{free}"


def leftovers(generations: Iterable[str]) -> tuple[str, ...]:
    """Unfinished generations that may go at once: those beside a finished one.

    Where there is no finished one they may be all that enforces; they stay until there is.
    """
    unfinished = {name for name in generations if name.startswith(_BUILDING)}
    return tuple(sorted(unfinished)) if set(generations) - unfinished else ()


def names_in(folder: Path) -> tuple[str, ...]:
    """What is in `folder`, sorted; nothing if it is not there."""
    try:
        return tuple(sorted(each.name for each in folder.iterdir()))
    except FileNotFoundError:
        return ()


def shapes(folder: Path) -> dict[str, MapInfo]:
    """Which of `MAPS` are pinned in `folder`, and what they are."""
    found = {}
    for name in set(names_in(folder)).intersection(MAPS):
        with Map(folder / name) as pinned:
            found[name] = pinned.info()
    return found


def differing(wanted: Mapping[str, MapInfo], found: Mapping[str, MapInfo]) -> frozenset[str]:
    """Maps that are missing, or cannot serve because type or sizes are others. Ids do not count."""
    return frozenset(
        name for name, shape in wanted.items() if name not in found or _shape(found[name]) != _shape(shape)
    )


def put(source: Path, target: Path) -> None:
    """`source` becomes `target` in one step; what was `target` is removed."""
    if not target.exists():
        source.rename(target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
    remove(source)


def remove(folder: Path) -> None:
    """Unpin all in `folder`, then the folder. Nothing if it is not there."""
    for name in names_in(folder):
        (folder / name).unlink()
    if folder.exists():
        folder.rmdir()


def _shape(info: MapInfo) -> tuple[int, ...]:
    return info.type, info.key_size, info.value_size, info.max_entries
