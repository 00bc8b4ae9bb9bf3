# SPDX-License-Identifier: Apache-2.0
"""The cgroups and entries of a proof, and the OOM in them."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import EntryFlag
from oompolicy_agent.loader.proof.process import Process
from oompolicy_agent.loader.proof.verdict import BIG, SMALL, Observed
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oompolicy_agent.kernel.maps import PriorityMap

NAME: Final = "oompolicy-proof"
"""The cgroup of the proof, below the root of the tree. No pod and no service of systemd is there."""

PATIENCE: Final = 60.0
"""Seconds for one OOM, from the start of its processes to their end. It takes less than one on an idle node."""

_LIMIT_MIB: Final = 32
_SMALL_MIB: Final = 4
_STEP_MIB: Final = 1
_LOWEST, _HIGHEST = 100, 900


@contextmanager
def scope(cgroup_root: Path) -> Iterator[Path]:
    """Make the cgroup of the proof with a limit, and remove it in the end. OSError if it cannot be made or removed."""
    folder = cgroup_root / NAME
    remove(folder)
    try:
        folder.mkdir()
        (folder / "memory.max").write_text(str(_LIMIT_MIB << 20), encoding="ascii")
        # The kernel has this file only if it accounts swap.
        with suppress(FileNotFoundError):
            (folder / "memory.swap.max").write_text("0", encoding="ascii")
        (folder / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
        for name in (SMALL, BIG):
            (folder / name).mkdir()
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Kill the processes in a cgroup and remove it, also one that a killed loader left. OSError if it cannot be."""
    if not folder.exists():
        return
    (folder / "cgroup.kill").write_text("1", encoding="ascii")
    events = folder / "cgroup.events"
    until(lambda: "populated 0" in events.read_text(encoding="ascii"), PATIENCE)
    for child in (each for each in folder.iterdir() if each.is_dir()):
        child.rmdir()
    folder.rmdir()


def observe(folder: Path, priorities: PriorityMap, lowest: str) -> Observed:
    """Make one OOM in which the process `lowest` has the lowest priority, and return what happened. OSError."""
    wanted = {
        _id(folder): _HIGHEST,
        **{_id(folder / name): _LOWEST if name == lowest else _HIGHEST for name in (SMALL, BIG)},
    }
    try:
        for cgroup_id, priority in wanted.items():
            priorities.put(cgroup_id, priority, 0, EntryFlag.PROOF)
        with _started(folder) as processes:
            _run_out_of_memory(folder, processes)
            kills = frozenset(name for name, process in processes.items() if _killed(folder / name, process))
        found = {cgroup_id: priorities.get(cgroup_id) for cgroup_id in wanted}
        return Observed(
            lowest=lowest,
            kills=kills,
            ooms=_event(folder, "oom"),
            undisturbed=found == {cgroup_id: (priority, 0) for cgroup_id, priority in wanted.items()},
        )
    finally:
        for cgroup_id in wanted:
            priorities.delete(cgroup_id)


@contextmanager
def _started(folder: Path) -> Iterator[dict[str, Process]]:
    """Start the processes, and move each into its cgroup once it has started: the start uses no memory there."""
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        processes = {name: stack.enter_context(Process(deadline)) for name in (SMALL, BIG)}
        for name, process in processes.items():
            process.ready()
            (folder / name / "cgroup.procs").write_text(str(process.pid), encoding="ascii")
        yield processes


def _run_out_of_memory(folder: Path, processes: dict[str, Process]) -> None:
    """Let the big process grow until a process is killed, or until it could have filled the limit twice."""
    if not processes[SMALL].hold(_SMALL_MIB):
        return
    for _ in range(0, 2 * _LIMIT_MIB, _STEP_MIB):
        if not processes[BIG].hold(_STEP_MIB) or _event(folder, "oom_kill"):
            return


def _killed(cgroup: Path, process: Process) -> bool:
    return bool(_event(cgroup, "oom_kill")) and process.was_killed()


def _event(cgroup: Path, name: str) -> int:
    """Return a counter of memory.events of the cgroup and all below it."""
    lines = (cgroup / "memory.events").read_text(encoding="ascii").splitlines()
    return int(dict(line.split() for line in lines)[name])


def _id(cgroup: Path) -> int:
    return cgroup.stat().st_ino
