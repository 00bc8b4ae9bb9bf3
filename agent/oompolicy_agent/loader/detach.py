# SPDX-License-Identifier: Apache-2.0
"""The verb `detach`: remove programs, maps, module and report. A second `detach` does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.loader import bpftool, generation, module, safefiles
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.lock import exclusive
from oompolicy_agent.loader.pinfolder import PinFolder, names_in, remove
from oompolicy_agent.loader.proof import scene
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from oompolicy_agent.loader.settings import Settings


def detach(settings: Settings) -> None:
    """Remove everything that `attach` put in place. LoaderError if a program or the module stays.

    Pins and report are removed in that case too.
    """
    with exclusive(settings.bpffs):
        pins = PinFolder(settings.bpffs)
        try:
            programs = _unpin(pins)
            safefiles.clear(settings.report)
            _await_end(programs)
            module.remove()
            # A loader that was killed during its proof leaves a cgroup.
            scene.remove(settings.cgroup_root / scene.NAME)
        finally:
            # Last, because the lock is on this folder.
            _remove_root(pins)


def _unpin(pins: PinFolder) -> frozenset[int]:
    """Remove all pins, links first. Return the ids of the programs that lose their link."""
    programs = set[int | None]()
    for name in pins.generations:
        folder = pins.links / name
        programs.update(generation.programs(folder).values())
        remove(folder)
    for folder in (pins.links, pins.maps, pins.maps_new, pins.maps_earlier):
        remove(folder)
    return frozenset(program for program in programs if program is not None)


def _remove_root(pins: PinFolder) -> None:
    if pins.root.exists() and not names_in(pins.root):
        pins.root.rmdir()


def _await_end(programs: frozenset[int]) -> None:
    """Wait until the kernel has freed the programs, after a grace period. It keeps the module until then."""
    left = set(programs)

    def gone() -> bool:
        left.difference_update([program for program in left if not bpftool.has_program(program)])
        return not left

    if not until(gone, module.PATIENCE):
        listed = ", ".join(map(str, sorted(left)))
        raise LoaderError(
            f"all pins are removed, but another process still holds the programs {listed}: end that process, and run "
            "detach again"
        )
