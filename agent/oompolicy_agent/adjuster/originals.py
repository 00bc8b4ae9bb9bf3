# SPDX-License-Identifier: Apache-2.0
"""The values that the adjuster replaces, on disk before the first of them is replaced.

Shape of originals.json: {"version": 1, "bootId": str, "cgroups": {"4711": {"value": 500, "own": {"123:45678": 0}}}}.
`value` is the oom_score_adj that the container runtime gave to the processes of a cgroup. `own` has those with a value
that the workload set, by pid and start time. In killgroups.json, the value of a cgroup is its memory.oom.group.

An adjuster that is killed leaves its values in force, and the next one restores from these files. So a file keeps a
value until it is in force again, and a damaged file is an error, because what is in force at that time are no original
values. Cgroups and processes do not outlive a boot, and neither does the content of the files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from oompolicy_agent.adjuster.group import ProcessId
from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

VERSION: Final = 1


T = TypeVar("T")


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


class OriginalsFile(Generic[T]):
    """A file, and its content by cgroup id in `known`. A subclass describes one value."""

    unwritten: str
    """The values that are not written or restored if the file cannot be read."""
    file_of_kernel: str
    """The file that has the values."""

    def __init__(self, path: Path, boot_id: str) -> None:
        """Read the file. Raise OriginalsError if it is there and cannot be used."""
        self._path, self._boot_id = path, boot_id
        self._uncertain = False
        try:
            self._known = self._parse(path.read_bytes())
        except FileNotFoundError:
            self._known = {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"the original values in {path} cannot be read ({error})"
            remedy = f"delete the file, and restart each pod whose {self.file_of_kernel} must be the kubelet's again"
            raise OriginalsError(f"{reason}, so no {self.unwritten} is written or restored; {remedy}") from error

    @property
    def known(self) -> Mapping[int, T]:
        """The original values by cgroup id."""
        return self._known

    def remember(self, found: Mapping[int, T]) -> None:
        """Make values durable, before the caller replaces them. OSError: none of them is remembered."""
        if self._uncertain or any(self._known.get(cgroup) != original for cgroup, original in found.items()):
            self._write({**self._known, **found})

    def forget(self, cgroups: Iterable[int]) -> None:
        """Remove cgroups that are gone, or whose original values are all in force again. OSError: all stay."""
        gone = set(cgroups) & set(self._known)
        if gone:
            self._write({cgroup: original for cgroup, original in self._known.items() if cgroup not in gone})

    def raw(self, original: T) -> Any:  # noqa: ANN401 (JSON)
        """Return a value as data of JSON."""
        raise NotImplementedError

    def value(self, raw: Any) -> T:  # noqa: ANN401 (JSON)
        """Return the value of data of JSON. Raise any of the errors of wrong data."""
        raise NotImplementedError

    def _write(self, known: dict[int, T]) -> None:
        cgroups = {str(cgroup): self.raw(known[cgroup]) for cgroup in sorted(known)}
        document = {"version": VERSION, "bootId": self._boot_id, "cgroups": cgroups}
        # A write that fails may have reached the disk, so the next `remember` has to write in any case.
        self._uncertain = True
        write_atomic(self._path, json.dumps(document).encode() + b"\n")
        self._known, self._uncertain = known, False

    def _parse(self, data: bytes) -> dict[int, T]:
        raw = json.loads(data)
        if raw["version"] != VERSION:
            raise ValueError(f"its version is not {VERSION}")
        if raw["bootId"] != self._boot_id:
            return {}
        return {int(cgroup): self.value(each) for cgroup, each in raw["cgroups"].items()}


class Originals(OriginalsFile[Original]):
    """The file with the values of oom_score_adj."""

    unwritten = "score"
    file_of_kernel = "oom_score_adj"

    def raw(self, original: Original) -> Any:  # noqa: ANN401 (JSON)
        """Return the values of a cgroup as data of JSON."""
        own = {f"{process.pid}:{process.start}": value for process, value in sorted(original.own.items())}
        return {"value": original.value, "own": own}

    def value(self, raw: Any) -> Original:  # noqa: ANN401 (JSON)
        """Return the values of a cgroup."""
        own = {ProcessId(*map(int, key.split(":"))): _score(value) for key, value in raw["own"].items()}
        return Original(_score(raw["value"]), own)


def _score(raw: object) -> int:
    if isinstance(raw, int) and -1000 <= raw <= 1000:
        return raw
    raise ValueError(f"{raw!r} is no oom_score_adj")
