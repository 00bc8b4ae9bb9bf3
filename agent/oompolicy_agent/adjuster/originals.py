# SPDX-License-Identifier: Apache-2.0
"""The values that the scores replace, on disk before the first of them is replaced.

Shape: {"version": 1, "bootId": str, "cgroups": {"4711": {"value": 500, "own": {"123:45678": 0}}}}. `value` is the
oom_score_adj that the container runtime gave to the processes of a cgroup. `own` has those with a value that the
workload set, by pid and start time.

An adjuster that is killed leaves the scores in force, and the next one restores from this file. So the file keeps a
value until all processes of the cgroup have it again, and a damaged file is an error, because what the processes have
at that time are no original values. Cgroups and processes do not outlive a boot, and neither does the file's content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.adjuster.group import ProcessId
from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

VERSION: Final = 1


class OriginalsError(Exception):
    """The file cannot be used. The message is a sentence for the node's owner."""


@dataclass(frozen=True, slots=True)
class Original:
    """The values of a cgroup's processes before the adjuster wrote any: `value`, or that of a process in `own`."""

    value: int
    own: Mapping[ProcessId, int] = field(default_factory=dict)

    def of(self, process: ProcessId) -> int:
        """Return the value of a process."""
        return self.own.get(process, self.value)


class Originals:
    """The file, and its content by cgroup id in `known`."""

    def __init__(self, path: Path, boot_id: str) -> None:
        """Read the file. Raise OriginalsError if it is there and cannot be used."""
        self._path, self._boot_id = path, boot_id
        self._uncertain = False
        try:
            self._known = _parse(path.read_bytes(), boot_id)
        except FileNotFoundError:
            self._known = {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise OriginalsError(
                f"the original values in {path} cannot be read ({error}), so no score is written or restored; "
                f"delete the file, and restart each pod whose oom_score_adj must be the kubelet's again"
            ) from error

    @property
    def known(self) -> Mapping[int, Original]:
        """The original values by cgroup id."""
        return self._known

    def remember(self, found: Mapping[int, Original]) -> None:
        """Make values durable, before the caller replaces them. OSError: none of them is remembered."""
        if self._uncertain or any(self._known.get(cgroup) != original for cgroup, original in found.items()):
            self._write({**self._known, **found})

    def forget(self, cgroups: Iterable[int]) -> None:
        """Remove cgroups whose processes have ended, or have all got their values back. OSError: all stay."""
        gone = set(cgroups) & set(self._known)
        if gone:
            self._write({cgroup: original for cgroup, original in self._known.items() if cgroup not in gone})

    def _write(self, known: dict[int, Original]) -> None:
        cgroups = {str(cgroup): _raw(original) for cgroup, original in sorted(known.items())}
        document = {"version": VERSION, "bootId": self._boot_id, "cgroups": cgroups}
        # A write that fails may have reached the disk, so the next `remember` has to write in any case.
        self._uncertain = True
        write_atomic(self._path, json.dumps(document).encode() + b"\n")
        self._known, self._uncertain = known, False


def _raw(original: Original) -> dict[str, Any]:
    own = {f"{process.pid}:{process.start}": value for process, value in sorted(original.own.items())}
    return {"value": original.value, "own": own}


def _parse(data: bytes, boot_id: str) -> dict[int, Original]:
    raw = json.loads(data)
    if raw["version"] != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    if raw["bootId"] != boot_id:
        return {}
    return {int(cgroup): _original(each) for cgroup, each in raw["cgroups"].items()}


def _original(raw: Mapping[str, Any]) -> Original:
    own = {ProcessId(*map(int, key.split(":"))): _value(value) for key, value in raw["own"].items()}
    return Original(_value(raw["value"]), own)


def _value(raw: object) -> int:
    if isinstance(raw, int) and -1000 <= raw <= 1000:
        return raw
    raise ValueError(f"{raw!r} is no oom_score_adj")
