# SPDX-License-Identifier: Apache-2.0
"""The oom_score_adj of all processes of a node, and which of them a test may see changed.

`read` runs in the guest. The other functions are pure and run on the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROC: Final = Path("/proc")
PROTECTED: Final = -998
"""The value of a sandbox. The runtime, the kubelet and kube-proxy have -999."""
_START_TIME: Final = 19
"""The position of the start time in /proc/PID/stat, after the name."""


class Score(NamedTuple):
    """The oom_score_adj of a process, with the name and the cgroup of the process."""

    name: str
    cgroup: str
    value: int

    @property
    def is_in_a_pod(self) -> bool:
        """A sandbox is in a pod too."""
        return "/kubepods/" in self.cgroup

    @property
    def may_change(self) -> bool:
        """True for the process of a container that the kernel may kill."""
        return self.is_in_a_pod and self.value > PROTECTED


def read(proc: Path = PROC) -> dict[str, Score]:
    """Return the score of each process with memory, by pid and start time. A process that ends is left out."""
    found = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            value, cgroup = int((folder / "oom_score_adj").read_text()), (folder / "cgroup").read_text()
            if (folder / "statm").read_text().split()[0] != "0":
                key = f"{folder.name}:{rest.split()[_START_TIME]}"
                found[key] = Score(name, cgroup.strip().removeprefix("0::"), value)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def from_wire(message: Mapping[str, list[str | int]]) -> dict[str, Score]:
    """Return the result of `read` as the guest's answer has it."""
    return {key: Score(str(name), str(cgroup), int(value)) for key, (name, cgroup, value) in message.items()}


def changed(before: Mapping[str, Score], after: Mapping[str, Score]) -> list[tuple[Score, Score]]:
    """Return the processes of both times that have another value, sorted by name."""
    return sorted((before[key], after[key]) for key in before.keys() & after.keys() if before[key] != after[key])


def of_pod(scores: Iterable[Score], uid: str) -> set[int]:
    """Return the values of the processes of a pod's containers. The sandbox does not count."""
    return {each.value for each in scores if f"/pod{uid}/" in each.cgroup and each.may_change}
