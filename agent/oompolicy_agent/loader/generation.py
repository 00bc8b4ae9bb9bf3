# SPDX-License-Identifier: Apache-2.0
"""A generation: all programs of one object, attached, with their links pinned in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.maps import Map
from oompolicy_agent.loader import bpftool, pinfolder
from oompolicy_agent.loader.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy_agent.loader.objectfile import BPFObject
    from oompolicy_agent.loader.pinfolder import PinFolder


def build(obj: BPFObject, maps: Path, folder: Path) -> None:
    """Load and attach `obj` with the maps pinned in `maps`, and pin its links in `folder`.

    After an error `folder` is removed, and with it everything that was attached.
    """
    folder.mkdir(mode=pinfolder.FOLDER_MODE)
    try:
        bpftool.load(obj.path, folder, {name: maps / name for name in pinfolder.MAPS})
        _require_complete(obj, folder)
    except BaseException:
        pinfolder.remove(folder)
        raise


def shortcoming(wanted: Iterable[str], found: dict[str, int | None]) -> str | None:
    """Return why the pins `found` (see `programs`) are not all of `wanted`, attached. None if they are."""
    if absent := sorted(set(wanted) - found.keys()):
        return f"these programs are not pinned: {', '.join(absent)}"
    # If a program cannot be attached, bpftool pins the program itself, and its exit status is 0 all the same.
    if loose := [name for name in sorted(wanted) if found[name] is None]:
        return f"these programs are not attached: {', '.join(loose)}"
    return None


def programs(folder: Path) -> dict[str, int | None]:
    """Return the id of the program behind each link pinned in `folder`, or None for a pin that is no link."""
    return {name: _program_of(folder / name) for name in pinfolder.names_in(folder)}


def decides(pins: PinFolder) -> bool:
    """Return whether a program that chooses victims is attached, in a generation of any version."""
    return any(programs(pins.links / name).get(pinfolder.DECIDING) is not None for name in pins.generations)


def _program_of(pin: Path) -> int | None:
    # fdinfo instead of `bpftool link show`: bpftool gets programs by their ids, which takes SYS_ADMIN.
    with Map(pin) as link:
        return parse_fdinfo(Path(f"/proc/self/fdinfo/{link.fd}").read_text(encoding="ascii"))


def parse_fdinfo(text: str) -> int | None:
    """Return the program's id if this is a link (bpf_link_show_fdinfo() in kernel/bpf/syscall.c), else None."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["prog_id"]) if "link_id" in fields else None


def _require_complete(obj: BPFObject, folder: Path) -> None:
    if reason := shortcoming(obj.programs, programs(folder)):
        raise RefusedError(f"{obj.path.name} was loaded, but {reason}")
