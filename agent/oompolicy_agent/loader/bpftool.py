# SPDX-License-Identifier: Apache-2.0
"""bpftool: loads and attaches objects, and says what is pinned."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.loader.command import Result, run
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOT_PERMITTED: Final = "Operation not permitted"


class Tool(StrEnum):
    """Which bpftool is there."""

    GOOD = "good"
    OLD = "old"
    MISSING = "missing"


def probe() -> Tool:
    """Debian 12's bpftool 7.1 cannot attach; versions say nothing about what a distribution built."""
    try:
        shown = run("bpftool", "prog", "help")
    except FileNotFoundError:
        return Tool.MISSING
    return Tool.GOOD if "autoattach" in shown.stdout + shown.stderr else Tool.OLD


def load(obj: Path, links: Path, maps: Mapping[str, Path]) -> None:
    """Load all programs of `obj` with these pinned maps, attach them, pin the links by program name into `links`."""
    reused = [word for name, pin in maps.items() for word in ("map", "name", name, "pinned", str(pin))]
    done = run("bpftool", "prog", "loadall", str(obj), str(links), *reused, "autoattach")
    if done.status == 0:
        return
    sentence = f"bpftool could not load {obj.name}: {explain(done)}"
    raise (UnsupportedError if _NOT_PERMITTED in done.stderr else LoaderError)(sentence)


def explain(done: Result) -> str:
    """The lines that tell most, out of libbpf's and bpftool's own: which program, and why."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [line.removeprefix("libbpf: ") for line in lines if line.startswith("libbpf: prog ")]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return "; ".join([*telling[:1], *errors[:1]] or lines[-1:] or [f"exit status {done.status}"])


def program_of(pin: Path) -> int | None:
    """The id of the program whose link is pinned at `pin`; None if there is no link."""
    link = _show("link", "pinned", str(pin))
    return link.get("prog_id") if link else None


def maps_of(program: int) -> frozenset[int] | None:
    """The ids of a program's maps; None if there is no such program."""
    shown = _show("prog", "id", str(program))
    return frozenset(shown.get("map_ids", ())) if shown else None


def _show(what: str, *which: str) -> dict[str, Any]:
    """What bpftool says of one object; empty if there is none."""
    # By what it prints: 7.5 shows a pinned link and ends with status 255 all the same.
    text = run("bpftool", "-j", what, "show", *which).stdout
    shown = json.loads(text) if text.strip() else None
    return shown if isinstance(shown, dict) and "error" not in shown else {}
