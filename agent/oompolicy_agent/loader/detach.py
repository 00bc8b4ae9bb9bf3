# SPDX-License-Identifier: Apache-2.0
"""Detach: programs, maps and module out, the report too. Doing it twice does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.loader import bpftool, generation, module, pins, plain
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.lock import exclusive
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from oompolicy_agent.loader.options import Options
    from oompolicy_agent.loader.pins import Pins


def detach(options: Options) -> None:
    """The whole verb. LoaderError if something of it stays; the rest is gone then all the same."""
    with exclusive(options.bpffs):
        tree = pins.Pins(options.bpffs)
        try:
            programs = _unpin(tree)
            plain.clear(options.report)
            _await_end(programs)
            module.remove()
        finally:
            # Last, because the lock is on it.
            _remove_root(tree)


def _unpin(tree: Pins) -> frozenset[int]:
    """Remove all pins, links first; the ids of the programs that lose their link."""
    programs = set[int | None]()
    for name in tree.generations:
        folder = tree.links / name
        programs.update(generation.programs(folder).values())
        pins.remove(folder)
    for folder in (tree.links, tree.maps, tree.maps_new):
        pins.remove(folder)
    return frozenset(program for program in programs if program is not None)


def _remove_root(tree: Pins) -> None:
    if tree.root.exists() and not pins.names_in(tree.root):
        tree.root.rmdir()


def _await_end(programs: frozenset[int]) -> None:
    """The kernel frees programs after a grace period; until then the module cannot go."""
    left = set(programs)

    def gone() -> bool:
        left.difference_update([program for program in left if not bpftool.has_program(program)])
        return not left

    if not until(gone, module.PATIENCE):
        listed = ", ".join(map(str, sorted(left)))
        raise LoaderError(f"all pins are gone, but somebody still holds the programs {listed}")
