# SPDX-License-Identifier: Apache-2.0
"""Puts one object in place: maps, entries, owner, programs, in this order, and the old generation out last."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from oompolicy_agent.loader import batch, fill, generation, handover, objectfile, pins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oompolicy_agent.loader.objectfile import BPFObject
    from oompolicy_agent.loader.options import Options
    from oompolicy_agent.loader.pins import Pins

log = logging.getLogger(__name__)


def install(obj: BPFObject, tree: Pins, options: Options) -> None:
    """Afterwards `obj` is attached with filled maps, and nothing else is.

    First attach, upgrade and repair are the same steps, each left out where it is done already.
    """
    _prepare(tree)
    maps = _maps_for(obj, tree)
    _fill(maps, options)
    handover.give_maps(maps, options.uid, options.gid)
    if maps != tree.maps:
        tree.disown()
        pins.put(maps, tree.maps)
    _attach(obj, tree)
    _clear(tree, keep=obj.hash)


def _prepare(tree: Pins) -> None:
    tree.root.mkdir(mode=pins.FOLDER_MODE, parents=True, exist_ok=True)
    tree.links.mkdir(mode=pins.FOLDER_MODE, exist_ok=True)
    for folder in (tree.root, tree.links):
        folder.chmod(pins.FOLDER_MODE)
    attached = {name: _attached(tree.links / name) for name in sorted(tree.generations, key=_age(tree))}
    for name in pins.leftovers(attached):
        log.info("an earlier loader did not finish: %s is removed", name)
        pins.remove(tree.links / name)


def _age(tree: Pins) -> Callable[[str], int]:
    return lambda name: (tree.links / name).stat().st_mtime_ns


def _attached(folder: Path) -> frozenset[str]:
    return frozenset(name for name, program in generation.programs(folder).items() if program is not None)


def _maps_for(obj: BPFObject, tree: Pins) -> Path:
    """The folder with maps that serve `obj`: those in use, or new ones beside them where a shape is another."""
    found = pins.shapes(tree.maps)
    changed = pins.differing(obj.maps, found)
    if not changed:
        return tree.maps
    if replaced := sorted(changed & found.keys()):
        log.warning("%s has other sizes than before: %s starts empty", obj.path.name, ", ".join(replaced))
    pins.remove(tree.maps_new)
    tree.maps_new.mkdir(mode=pins.FOLDER_MODE)
    tree.maps_new.chmod(pins.FOLDER_MODE)
    for name in found.keys() - changed:
        os.link(tree.maps / name, tree.maps_new / name)
    objectfile.make_maps(obj, changed, tree.maps_new)
    return tree.maps_new


def _fill(maps: Path, options: Options) -> None:
    fill.fill_settings(maps / "settings", options.host_priority)
    last = fill.load_checkpoint(options.checkpoint)
    added = fill.fill_priorities(maps / "cgroup_priority", options.cgroup_root, last, batch.choose())
    log.info("%d entries were missing in cgroup_priority, %s checkpoint", added, "with a" if last else "without a")


def _attach(obj: BPFObject, tree: Pins) -> None:
    current = tree.links / obj.hash
    lacking = generation.flaw(obj.programs, generation.programs(current))
    if lacking is None:
        log.info("%s is attached already", obj.path.name)
        return
    if current.exists():
        log.warning("%s is attached again: %s", obj.path.name, lacking)
    built = tree.unfinished()
    generation.build(obj, tree.maps, built)
    pins.put(built, current)


def _clear(tree: Pins, *, keep: str) -> None:
    for name in tree.generations:
        if name != keep:
            log.info("generation %s was replaced and is removed", name)
            pins.remove(tree.links / name)
    pins.remove(tree.maps_new)
