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
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.maps import Map, MapInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAPS: Final = ("cgroup_priority", "events", "cgroups", "stats", "settings")
FOLDER_MODE: Final = 0o711

_VITAL: Final = ("victim_marked", "evaluate_task")
"""The programs that report and that decide."""

_UNFINISHED: Final = "unfinished_"
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2

log = logging.getLogger(__name__)


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


def leftovers(generations: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Unfinished generations that may go at once: those beside a finished one, or else beside the best of them.

    `generations` are the programs that each has attached, the oldest generation first. Without a finished one the best
    may be all that enforces, and stays until there is one: it reports victims, decides, has the most programs, and is
    the newest, in this order. Each of the others would take places at out_of_memory(), and a function has 38
    (BPF_MAX_TRAMP_LINKS in include/linux/bpf.h).
    """
    kept = finished(generations) or sorted(generations, key=lambda name: _worth(generations[name]))[-1:]
    return tuple(name for name in generations if name not in kept)


def _worth(attached: frozenset[str]) -> tuple[bool | int, ...]:
    return (*(name in attached for name in _VITAL), len(attached))


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
    """Which of `MAPS` are pinned in `folder` and can be written to, and what they are."""
    found = {}
    for name in set(names_in(folder)).intersection(MAPS):
        with Map(folder / name) as pinned:
            # The maps are the agent's, and their owner may freeze them: nobody can write to them from then on.
            if pinned.frozen:
                log.warning("%s was frozen, which no agent does: it is replaced", folder / name)
            else:
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
    return (_VITAL.index(name) if name in _VITAL else len(_VITAL), name)


def _shape(info: MapInfo) -> tuple[int, ...]:
    return info.type, info.key_size, info.value_size, info.max_entries
