# SPDX-License-Identifier: Apache-2.0
"""The file in which the agent tells the adjuster the mode, the priorities and the kill groups that it wants.

Shape: {"version": 1, "mode": "Enforce", "hostPriority": 1000, "cgroups": {"4711": 200}, "killGroups": {"4711": true}}.
`cgroups` maps ids to priorities, and for a process the nearest entry from its own cgroup upwards applies, as in the map
of the BPF program. `killGroups` maps ids to values of memory.oom.group. It may be missing, and the mode, which is that
of the scores, does not count for it.

The adjuster has more rights than the agent. So it reads only a small regular file, and refuses a file with any part
that it does not know.

`kernelLog` is true if the adjuster has to report the victims in the kernel's log. The key is left out if it is false.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from oompolicy.model import within_priorities
from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION: Final = 1
LIMIT: Final = 4 << 20
"""The largest size of a file in bytes. An entry takes about 20, and a node has a few thousand cgroups of pods."""
READABLE: Final = 0o644
"""The mode of the file. It has no secret, and the command line shows its content."""

Mode = Literal["Enforce", "Audit", "Off"]

_KEYS: Final = {"version", "mode", "hostPriority", "cgroups"}
_KILL_GROUPS: Final = "killGroups"
_KERNEL_LOG: Final = "kernelLog"
_IDS: Final = range(1, 1 << 64)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The agent's request. `cgroups` maps cgroup ids to priorities, and `kill_groups` to values of memory.oom.group.

    `kernel_log` is True if the agent needs the victims in the kernel's log.
    """

    mode: Mode
    host_priority: int
    cgroups: Mapping[int, int]
    kill_groups: Mapping[int, bool] = field(default_factory=dict)
    kernel_log: bool = False


class WantedFile:
    """The file, as the adjuster follows it. `current` is the last good content, or None before the first.

    `problem` is a sentence while the file cannot be used, or an empty string.
    """

    def __init__(self, path: Path) -> None:
        self.current: Wanted | None = None
        self.problem = ""
        self._path = path

    def read(self) -> bool:
        """Read the file. Return True if the request changed."""
        try:
            found = parse(_content(self._path))
        except (OSError, ValueError, RecursionError) as error:
            kept = "the last good request stays in force" if self.current else "no score is written"
            self.problem = f"the request of the agent cannot be used: {_sentence(self._path, error)}; {kept}"
            return False
        before, self.current, self.problem = self.current, found, ""
        return found != before


def write(path: Path, wanted: Wanted) -> None:
    """Replace the file. A reader finds the earlier request or this one, and never a part. OSError if that fails.

    The request is for this boot alone, because cgroup ids are, so it is not synced to the disk.
    """
    document: dict[str, Any] = {
        "version": VERSION,
        "mode": wanted.mode,
        "hostPriority": wanted.host_priority,
        "cgroups": {str(cgroup): priority for cgroup, priority in sorted(wanted.cgroups.items())},
        _KILL_GROUPS: {str(cgroup): value for cgroup, value in sorted(wanted.kill_groups.items())},
    }
    if wanted.kernel_log:
        # An adjuster of an earlier release refuses a file with a key that it does not know.
        document[_KERNEL_LOG] = True
    write_atomic(path, json.dumps(document, indent=0).encode() + b"\n", durable=False, mode=READABLE)


def parse(data: bytes) -> Wanted:
    """Return the request in JSON data. Raise ValueError with the reason if any part of it is unknown or wrong."""
    raw = json.loads(data, object_pairs_hook=_without_duplicates)
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}: agent and adjuster must be of the same release")
    if set(raw) - {_KILL_GROUPS, _KERNEL_LOG} != _KEYS:
        raise ValueError(f"its keys are not {', '.join(sorted(_KEYS))}")
    if raw["mode"] not in get_args(Mode):
        raise ValueError(f"its mode is none of {', '.join(get_args(Mode))}")
    return Wanted(
        raw["mode"],
        _priority("hostPriority", raw["hostPriority"]),
        _cgroups(raw["cgroups"]),
        _kill_groups(raw.get(_KILL_GROUPS, {})),
        _flag(_KERNEL_LOG, raw.get(_KERNEL_LOG, False)),
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _cgroups(raw: object) -> dict[int, int]:
    if isinstance(raw, dict):
        return {_cgroup_id(key): _priority(f"cgroup {key}", value) for key, value in raw.items()}
    raise ValueError("cgroups is no object")


def _kill_groups(raw: object) -> dict[int, bool]:
    if not isinstance(raw, dict):
        raise ValueError(f"{_KILL_GROUPS} is no object")  # noqa: TRY004 (of a file, not of an argument)
    return {_cgroup_id(key): _flag(f"{_KILL_GROUPS} {key}", value) for key, value in raw.items()}


def _flag(subject: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{subject} is neither true nor false")  # noqa: TRY004 (as above)
    return value


def _cgroup_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and str(int(text)) == text and int(text) in _IDS):
        raise ValueError(f"{text[:40]!r} is no cgroup id")
    return int(text)


def _priority(subject: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not within_priorities(value):
        raise ValueError(f"{subject} has no priority of 0 to 1000")
    return value


def _content(path: Path) -> bytes:
    """Return the content of a small regular file. The agent's folder may have links, pipes or endless data instead."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError(f"it has more than {LIMIT} bytes")
    return content


def _sentence(path: Path, error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else f"{path}: {error}"
