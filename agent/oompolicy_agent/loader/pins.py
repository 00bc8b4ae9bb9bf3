# SPDX-License-Identifier: Apache-2.0
"""The tree of pins on bpffs, and how it changes without a moment without policy.

maps/                 the five maps
maps_new/             what will be maps/, until it is filled
links/<hash>/         a generation: the programs of one object, all attached and using what is in maps/
links/unfinished_<n>/ programs of which that is not known

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

_UNFINISHED: Final = "unfinished_"
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

    def unfinished(self) -> Path:
        """A name that is not taken yet for a generation that is not known to be complete."""
        taken = self.generations
        return self.links / next(name for n in range(len(taken) + 1) if (name := f"{_UNFINISHED}{n}") not in taken)

    def disown(self) -> None:
        """No generation is complete any more: maps/ is about to change. They stay attached."""
        for name in finished(self.generations):
            (self.links / name).rename(self.unfinished())


def leftovers(generations: Iterable[str]) -> tuple[str, ...]:
    """Unfinished generations that may go at once: those beside a finished one.

    Where there is no finished one they may be all that enforces; they stay until there is.
    """
    complete = finished(generations)
    return tuple(sorted(set(generations) - set(complete))) if complete else ()


def finished(generations: Iterable[str]) -> tuple[str, ...]:
    """Those named by their object's hash."""
    return tuple(name for name in generations if not name.startswith(_UNFINISHED))


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
    for name in sorted(names_in(folder), key=_leaving):
        (folder / name).unlink()
    if folder.exists():
        folder.rmdir()


def _leaving(name: str) -> tuple[int, str]:
    """A generation stops reporting and deciding before it stops knowing what goes on."""
    first = ("victim_marked", "evaluate_task")
    return (first.index(name) if name in first else len(first), name)


def _shape(info: MapInfo) -> tuple[int, ...]:
    return info.type, info.key_size, info.value_size, info.max_entries
