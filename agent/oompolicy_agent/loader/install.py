# SPDX-License-Identifier: Apache-2.0
"""Puts one object in place: maps, entries, owner, programs, in this order. The old generation is removed last."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from oompolicy_agent.loader import fill, generation, handover, objectfile, pinfolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oompolicy_agent.loader.objectfile import BPFObject
    from oompolicy_agent.loader.pinfolder import PinFolder
    from oompolicy_agent.loader.settings import Settings

log = logging.getLogger(__name__)


def install(obj: BPFObject, pins: PinFolder, settings: Settings) -> frozenset[int]:
    """Attach `obj` with filled maps, and remove every other generation. Return the ids of the removed programs.

    First attach, upgrade and repair are the same steps. A step that is already done is skipped.
    """
    _prepare(pins)
    maps = _maps_for(obj, pins)
    _fill(maps, settings)
    handover.give_maps(maps, settings.uid, settings.gid)
    if maps != pins.maps:
        pins.disown()
        pinfolder.put(maps, pins.maps, pins.maps_earlier)
    _attach(obj, pins)
    return _remove_replaced(pins, keep=obj.hash)


def _prepare(pins: PinFolder) -> None:
    pins.root.mkdir(mode=pinfolder.FOLDER_MODE, parents=True, exist_ok=True)
    pins.links.mkdir(mode=pinfolder.FOLDER_MODE, exist_ok=True)
    for folder in (pins.root, pins.links):
        folder.chmod(pinfolder.FOLDER_MODE)
    pinfolder.restore(pins.maps_earlier, pins.maps)
    attached = {name: _attached(pins.links / name) for name in sorted(pins.generations, key=_age(pins))}
    for name in pinfolder.leftovers(attached):
        log.info("removing %s, which an earlier loader did not finish", name)
        pinfolder.remove(pins.links / name)


def _age(pins: PinFolder) -> Callable[[str], int]:
    return lambda name: (pins.links / name).stat().st_mtime_ns


def _attached(folder: Path) -> frozenset[str]:
    return frozenset(name for name, program in generation.programs(folder).items() if program is not None)


def _maps_for(obj: BPFObject, pins: PinFolder) -> Path:
    """Return the folder with maps that fit `obj`: the maps in use, or a new folder if a map has another shape."""
    found = pinfolder.shapes(pins.maps)
    changed = pinfolder.differing(obj.maps, found)
    if not changed:
        return pins.maps
    if replaced := sorted(changed & found.keys()):
        log.warning(
            "maps in %s have other sizes than before, so they start empty: %s", obj.path.name, ", ".join(replaced)
        )
    pinfolder.remove(pins.maps_new)
    pins.maps_new.mkdir(mode=pinfolder.FOLDER_MODE)
    pins.maps_new.chmod(pinfolder.FOLDER_MODE)
    for name in found.keys() - changed:
        os.link(pins.maps / name, pins.maps_new / name)
    objectfile.make_maps(obj, changed, pins.maps_new)
    return pins.maps_new


def _fill(maps: Path, settings: Settings) -> None:
    last = fill.load_checkpoint(settings.checkpoint)
    fill.fill_settings(maps / "settings", fill.first_mode(last, settings.mode), fill.first_host_priority(last))
    added = fill.fill_priorities(maps / "cgroup_priority", settings.cgroup_root, last, fill.choose_access())
    log.info("%d entries were missing in cgroup_priority, %s checkpoint", added, "with a" if last else "without a")


def _attach(obj: BPFObject, pins: PinFolder) -> None:
    current = pins.links / obj.hash
    reason = generation.shortcoming(obj.programs, generation.programs(current))
    if reason is None:
        log.info("%s is already attached", obj.path.name)
        return
    if current.exists():
        log.warning("attaching %s again: %s", obj.path.name, reason)
    built = pins.unfinished()
    generation.build(obj, pins.maps, built)
    pinfolder.put(built, current, pins.unfinished())


def _remove_replaced(pins: PinFolder, *, keep: str) -> frozenset[int]:
    removed = set[int | None]()
    for name in pins.generations:
        if name != keep:
            log.info("removing generation %s, which was replaced", name)
            removed.update(generation.programs(pins.links / name).values())
            pinfolder.remove(pins.links / name)
    pinfolder.remove(pins.maps_new)
    return frozenset(program for program in removed if program is not None)
