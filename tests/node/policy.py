# SPDX-License-Identifier: Apache-2.0
"""The attached policy as a test uses it: it writes entries, and reads records and counters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import KernelMode, Stat, VictimFlag, VictimRecord
from oompolicy_agent.kernel.maps import PerCPUCounters, PriorityMap, RingBuffer, SettingsMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog

BPFFS: Final = Path("/sys/fs/bpf/oompolicy")
BUILD: Final = Path(__file__).parents[2] / "build"
KERNEL: Final = os.environ.get("OOMPOLICY_KERNEL", "trixie")
STOCK: Final = not KERNEL.startswith(("patched", "as-posted"))
"""True if the hook comes with the module. Otherwise it is in the kernel, in our version or as it was posted in 2023."""
LINUX: Final = tuple(map(int, os.uname().release.split(".")[:2]))
OWNERS_MAY_READ: Final = LINUX >= (5, 19)
"""True if a process without CAP_BPF may open the maps that it owns."""
MODULE: Final = BUILD / f"module-{KERNEL}" / "oompolicy_hook.ko"


def loader(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the loader as a user would."""
    command = [sys.executable, "-m", "oompolicy_agent.loader", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def attach(*extra: str | Path, objects: Path = BUILD / "bpf") -> subprocess.CompletedProcess[str]:
    """Attach without a proof, whose kills would be in the counters and logs that the tests compare."""
    return loader("attach", *with_module(), "--object-dir", objects, "--no-proof", *extra)


def with_module() -> tuple[str, ...]:
    """Return the loader's option for a kernel that needs the module. The loader reports a missing module."""
    return ("--module", str(MODULE)) if STOCK else ()


def is_attached() -> bool:
    """Return True if a loader of an earlier test attached the policy, and the module is loaded if it is needed."""
    return any(BPFFS.glob("links/*/evaluate_task")) and (not STOCK or Path("/sys/module/oompolicy_hook").exists())


def detach() -> subprocess.CompletedProcess[str]:
    return loader("detach")


class Policy:
    """Open pins of an attached policy. Only one reader of `events` may run at a time."""

    def __init__(self) -> None:
        self.entries = PriorityMap(BPFFS / "maps/cgroup_priority")
        self.settings = SettingsMap(BPFFS / "maps/settings")
        self.stats = PerCPUCounters(BPFFS / "maps/stats")
        self._records: list[VictimRecord] = []
        self._ring = RingBuffer(
            BPFFS / "maps/events", lambda raw: self._records.append(VictimRecord.from_buffer_copy(raw))
        )
        self._ring.consume()
        self._records.clear()

    def close(self) -> None:
        for pin in (self.entries, self.settings, self.stats, self._ring):
            pin.close()

    def set(self, priorities: Mapping[Cgroup, int]) -> None:
        for cgroup, priority in priorities.items():
            self.entries.put(cgroup.id, priority, 0)

    def set_mode(self, mode: KernelMode) -> None:
        """Change the mode as the agent does."""
        self.settings.set_mode(mode)

    def clear(self) -> None:
        for cgroup_id in self.entries.entries():
            self.entries.delete(cgroup_id)

    def records(self) -> list[VictimRecord]:
        """Return the records since the last call."""
        self._ring.consume()
        taken, self._records[:] = list(self._records), []
        return taken

    def record_of(self, hog: Hog) -> VictimRecord:
        """Return the only record of a victim. This call takes all records so far."""
        (record,) = [record for record in self.records() if record.victim_tgid == hog.pid]
        return record

    def stat(self, stat: Stat) -> int:
        return self.stats.sum(stat)


def flags(record: VictimRecord) -> VictimFlag:
    return VictimFlag(record.flags)


def victims(records: Iterable[VictimRecord]) -> list[int]:
    return [record.victim_tgid for record in records]
