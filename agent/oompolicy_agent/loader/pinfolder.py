# SPDX-License-Identifier: Apache-2.0
"""The folder of pins on bpffs, and how it changes while a policy stays in force at every moment.

maps/                 the five maps
maps_new/             the next maps/, until they are filled
maps_earlier/         the earlier maps/, for a moment, on a kernel that cannot exchange two folders
links/<hash>/         a generation: the programs of one object, all attached, and all using the maps in maps/
links/unfinished_<n>/ a generation that may be incomplete, or may use other maps

The names have no dot, because bpffs reserves names with a dot.
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.maps import Map, MapInfo
from oompolicy_agent.plumbing.libc import last_error, libc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAPS: Final = ("cgroup_priority", "events", "cgroups", "stats", "settings")
FOLDER_MODE: Final = 0o711

DECIDING: Final = "evaluate_task"
"""The program that decides about each task of a scan."""
_VITAL: Final = ("victim_marked", DECIDING)
"""The program that reports a victim, and the program that decides. The most important one is first."""

_UNFINISHED: Final = "unfinished_"
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PinFolder:
    """The folder `root`, usually /sys/fs/bpf/oompolicy. It need not exist yet."""

    root: Path

    @property
    def maps(self) -> Path:
        """The folder of the maps in use."""
        return self.root / "maps"

    @property
    def maps_new(self) -> Path:
        """The folder of the next maps."""
        return self.root / "maps_new"

    @property
    def maps_earlier(self) -> Path:
        """The folder of the maps that are being replaced, on a kernel that cannot exchange two folders."""
        return self.root / "maps_earlier"

    @property
    def links(self) -> Path:
        """The folder with one folder per generation."""
        return self.root / "links"

    @property
    def generations(self) -> tuple[str, ...]:
        """The names of all generations, also of unfinished ones."""
        return names_in(self.links)

    def unfinished(self) -> Path:
        """Return a free path for an unfinished generation."""
        taken = self.generations
        return self.links / next(name for n in range(len(taken) + 1) if (name := f"{_UNFINISHED}{n}") not in taken)

    def disown(self) -> None:
        """Rename all generations to unfinished ones, because maps/ is about to change. They stay attached."""
        for name in finished(self.generations):
            (self.links / name).rename(self.unfinished())


def leftovers(generations: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return the unfinished generations that can be removed at once.

    `generations` has the attached programs of each generation, the oldest generation first. If one is finished, all
    unfinished ones can go. Otherwise the best unfinished one stays, because it may be the only one that enforces. The
    best one reports victims, decides, has the most programs, and is the newest, in this order. The others must go,
    because each takes places at out_of_memory(), and a function has 38 (BPF_MAX_TRAMP_LINKS in include/linux/bpf.h).
    """
    kept = finished(generations) or sorted(generations, key=lambda name: _worth(generations[name]))[-1:]
    return tuple(name for name in generations if name not in kept)


def _worth(attached: frozenset[str]) -> tuple[bool | int, ...]:
    return (*(name in attached for name in _VITAL), len(attached))


def finished(generations: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the generations that are named by the hash of their object."""
    return tuple(name for name in generations if not name.startswith(_UNFINISHED))


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the sorted names in `folder`, or none if the folder does not exist."""
    try:
        return tuple(sorted(each.name for each in folder.iterdir()))
    except FileNotFoundError:
        return ()


def shapes(folder: Path) -> dict[str, MapInfo]:
    """Return the shapes of those of `MAPS` that are pinned in `folder` and can be written to."""
    found = {}
    for name in set(names_in(folder)).intersection(MAPS):
        with Map(folder / name) as opened:
            # The maps belong to the agent's user. The owner of a map can freeze it, and then nobody can write to it.
            if opened.frozen:
                log.warning("%s is frozen, which no agent does: a new map replaces it", folder / name)
            else:
                found[name] = opened.info()
    return found


def differing(wanted: Mapping[str, MapInfo], found: Mapping[str, MapInfo]) -> frozenset[str]:
    """Return the names of the maps in `wanted` that are not in `found`, or have another type or size there."""
    return frozenset(
        name for name, shape in wanted.items() if name not in found or _shape(found[name]) != _shape(shape)
    )


def put(source: Path, target: Path, aside: Path) -> None:
    """Move `source` to `target`, and remove the earlier `target`.

    This is one step, except before Linux 5.16: there bpffs cannot exchange two folders, because simple_rename() refuses
    RENAME_EXCHANGE. The earlier `target` is then at the free path `aside` for a moment.
    """
    if not target.exists():
        source.rename(target)
        return
    if _exchanged(source, target):
        remove(source)
        return
    target.rename(aside)
    source.rename(target)
    remove(aside)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders. Return False if the kernel cannot do that here."""
    if libc().renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    error = last_error(other)
    if error.errno == errno.EINVAL:
        return False
    raise error


def restore(aside: Path, target: Path) -> None:
    """Finish or undo a move that an earlier loader did not finish."""
    if target.exists():
        remove(aside)
    elif aside.exists():
        aside.rename(target)


def remove(folder: Path) -> None:
    """Unpin everything in `folder`, then remove the folder. Do nothing if it does not exist."""
    for name in sorted(names_in(folder), key=_leaving):
        (folder / name).unlink()
    if folder.exists():
        folder.rmdir()


def _leaving(name: str) -> tuple[int, str]:
    """Return the sort key for removal: the programs that report and decide go first, as they need the others."""
    return (_VITAL.index(name) if name in _VITAL else len(_VITAL), name)


def _shape(info: MapInfo) -> tuple[int, ...]:
    return info.type, info.key_size, info.value_size, info.max_entries
