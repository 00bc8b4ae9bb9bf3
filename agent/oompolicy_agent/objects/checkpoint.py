# SPDX-License-Identifier: Apache-2.0
"""The last state of the agent on disk. The next loader and the next agent read it.

Shape: {"version": 1, "bootId": str, "objects": [raw manifests], "index": [named cgroups], "reported": [ids],
"refusals": [names of Events], "mode": str, "hostPriority": int, "defaults": {class: priority},
"circuit": [boot clock in ns, limit], "kills": [boot clock in ns]}. Cgroup IDs change at each boot, and the boot clock
starts again, so `index`, `circuit` and `kills` are valid only in the boot that wrote them. The mode is that of the node
apart from the circuit. A version before modes has written no mode, and has enforced. An earlier version has written
neither hostPriority nor defaults, and has used the built-in defaults.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from oompolicy.model import Defaults, within_priorities
from oompolicy.oomsettings import Mode
from oompolicy_agent.plumbing.files import write_atomic
from oompolicy_agent.plumbing.text import utf8

VERSION: Final = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint. `objects` are raw manifests, and `index` is for `CgroupOwners.restore`.

    `circuit` and `kills` are for `Circuit.restore`. `host_priority` and `defaults` are None in a checkpoint of an
    earlier version.
    """

    boot_id: str
    objects: tuple[dict[str, Any], ...] = ()
    index: tuple[dict[str, Any], ...] = ()
    reported: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    mode: Mode | None = None
    circuit: tuple[int, int] | None = None
    host_priority: int | None = None
    defaults: Defaults | None = None
    kills: tuple[int, ...] = ()

    @property
    def manifests(self) -> tuple[tuple[None, dict[str, Any]], ...]:
        """The objects in the form that `oompolicy.manifests.manifests_from_checkpoint` takes."""
        return tuple((None, raw) for raw in self.objects)


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return the ID of this boot."""
    return path.read_text(encoding="ascii").strip()


def load(path: Path) -> Checkpoint | None:
    """Return the checkpoint. Return None if there is none, or if it cannot be used, which is logged."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("the checkpoint %s cannot be used and is ignored: %s", path, error)
        return None


def save(
    path: Path,
    current_boot: str,
    objects_json: str,
    index_json: str,
    *,
    reported: tuple[str, ...] = (),
    refusals: tuple[str, ...] = (),
    mode: Mode | None = None,
    circuit: tuple[int, int] | None = None,
    host_priority: int | None = None,
    defaults: Defaults | None = None,
    kills: tuple[int, ...] = (),
) -> None:
    """Replace the checkpoint durably. Raise OSError if that fails.

    The two long lists are JSON text, because the agent keeps no raw objects.
    """
    parts = {
        "version": json.dumps(VERSION),
        "bootId": json.dumps(current_boot),
        "objects": objects_json,
        "index": index_json,
        "reported": json.dumps(reported),
        "refusals": json.dumps(refusals),
        "mode": json.dumps(mode),
        "circuit": json.dumps(circuit),
        "kills": json.dumps(kills),
        "hostPriority": json.dumps(host_priority),
        "defaults": json.dumps(defaults and asdict(defaults)),
    }
    text = ",\n".join(f'"{name}": {value}' for name, value in parts.items())
    write_atomic(path, utf8(f"{{{text}}}\n"))


def parse(data: bytes) -> Checkpoint:
    """Return the checkpoint in JSON data. Raise ValueError if it is no valid checkpoint."""
    raw = json.loads(data)
    if not isinstance(raw, dict) or raw.get("version") != VERSION or not isinstance(raw.get("bootId"), str):
        raise ValueError(f"not a checkpoint of version {VERSION}, with a bootId")
    return Checkpoint(
        raw["bootId"],
        _list(raw, "objects", dict),
        _list(raw, "index", dict),
        _list(raw, "reported", str),
        _list(raw, "refusals", str),
        _mode(raw.get("mode", Mode.ENFORCE)),
        _circuit(raw.get("circuit")),
        _host_priority(raw.get("hostPriority")),
        _defaults(raw.get("defaults")),
        _list(raw, "kills", int),
    )


def _mode(text: object) -> Mode | None:
    if text is None:
        return None
    if text not in list(Mode):
        raise ValueError(f"{text!r} is no mode")
    return Mode(str(text))


def _circuit(raw: object) -> tuple[int, int] | None:
    match raw:
        case None:
            return None
        case [int(at_ns), int(limit)]:
            return at_ns, limit
    raise ValueError(f"{raw!r} is no circuit")


def _host_priority(raw: object) -> int | None:
    if raw is None or (type(raw) is int and within_priorities(raw)):
        return raw
    raise ValueError(f"{raw!r} is no priority")


def _defaults(raw: object) -> Defaults | None:
    """Return the defaults. A class that this version does not know is ignored."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ValueError(f"{raw!r} has no defaults")  # noqa: TRY004 (each error about the content is a ValueError)
    known = {field.name: raw[field.name] for field in fields(Defaults) if field.name in raw}
    if not all(type(value) is int for value in known.values()):
        raise ValueError(f"{raw!r} has a default that is no priority")
    return Defaults(**known)


def _list(raw: dict[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    items = raw.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise ValueError(f"{key} is not a list of {kind.__name__}")
    return tuple(items)
