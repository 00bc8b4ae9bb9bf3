# SPDX-License-Identifier: Apache-2.0
"""What the agent last knew, on disk: read by the agent's next start and, before it, by the loader.

Shape: {"version": 1, "bootId": str, "objects": [raw manifests], "index": [named cgroups], "reported": [ids],
"refusals": [names of Events]}. Cgroup ids, and so `index`, mean nothing after another boot.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oompolicy_agent.plumbing.files import write_atomic
from oompolicy_agent.plumbing.text import utf8

VERSION: Final = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`objects` are raw manifests, `index` is what `index.Index.restore` takes."""

    boot_id: str
    objects: tuple[dict[str, Any], ...] = ()
    index: tuple[dict[str, Any], ...] = ()
    reported: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def manifests(self) -> tuple[tuple[None, dict[str, Any]], ...]:
        """The objects as `oompolicy.manifests.manifests_from_objects` takes them."""
        return tuple((None, raw) for raw in self.objects)


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """This boot's id."""
    return path.read_text(encoding="ascii").strip()


def load(path: Path) -> Checkpoint | None:
    """The checkpoint, or None: without a word where there is none, with one where it cannot be used."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("checkpoint %s cannot be used and is left out: %s", path, error)
        return None


def save(
    path: Path,
    current_boot: str,
    objects_json: str,
    index_json: str,
    *,
    reported: tuple[str, ...] = (),
    refusals: tuple[str, ...] = (),
) -> None:
    """Replace the checkpoint, durably. Takes the two long lists as JSON text: the agent keeps no raw objects."""
    fields = {
        "version": json.dumps(VERSION),
        "bootId": json.dumps(current_boot),
        "objects": objects_json,
        "index": index_json,
        "reported": json.dumps(reported),
        "refusals": json.dumps(refusals),
    }
    text = ",\n".join(f'"{name}": {value}' for name, value in fields.items())
    write_atomic(path, utf8(f"{{{text}}}\n"))


def parse(data: bytes) -> Checkpoint:
    """From JSON. ValueError says what is wrong with it."""
    raw = json.loads(data)
    if not isinstance(raw, dict) or raw.get("version") != VERSION or not isinstance(raw.get("bootId"), str):
        raise ValueError(f"not a checkpoint of version {VERSION}, with a bootId")
    return Checkpoint(
        raw["bootId"],
        _list(raw, "objects", dict),
        _list(raw, "index", dict),
        _list(raw, "reported", str),
        _list(raw, "refusals", str),
    )


def _list(raw: dict[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    items = raw.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise ValueError(f"{key} is not a list of {kind.__name__}")
    return tuple(items)
