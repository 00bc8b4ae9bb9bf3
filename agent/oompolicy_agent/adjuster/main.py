# SPDX-License-Identifier: Apache-2.0
"""The command `oompolicy-adjuster`. Exit status: 0 ended by a signal or restored, 1 failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import logging
import os
import resource
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy.logs import start_logging
from oompolicy_agent.adjuster import look
from oompolicy_agent.adjuster.adjuster import Adjuster
from oompolicy_agent.adjuster.enforcer import Enforcer
from oompolicy_agent.adjuster.killgroups import GroupValues, KillGroups
from oompolicy_agent.adjuster.logged import LoggedKills
from oompolicy_agent.adjuster.oomgroup import OomGroups
from oompolicy_agent.adjuster.originals import Originals, OriginalsError
from oompolicy_agent.adjuster.processes import HIDDEN, VANISHED, Processes
from oompolicy_agent.adjuster.reporting import Reporting
from oompolicy_agent.adjuster.wanted import Wanted
from oompolicy_agent.mapping.cgroups import is_cgroup2, scan
from oompolicy_agent.plumbing.libc import last_error, libc
from oompolicy_agent.plumbing.loop import Loop, stop_on_signals
from oompolicy_agent.plumbing.paths import ADJUSTER_DIR, ADJUSTER_REPORT, CGROUP_ROOT, LOGGED_KILLS, RUN_DIR, WANTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
NOTHING: Final = Wanted("Off", 1000, {})
LOOKS_TO_RESTORE: Final = 10
"""A look after the one that restored confirms it. More are needed only while processes fork faster than that."""
_FOLDER: Final = 0o711

_MCL_CURRENT, _MCL_FUTURE = 1, 2  # include/uapi/asm-generic/mman.h

log = logging.getLogger(__name__)


class AdjusterError(Exception):
    """The adjuster cannot start or cannot finish. The message is a sentence for the node's owner."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""
    chosen = _parse(arguments)
    start_logging(chosen.log_format)
    try:
        with ExitStack() as stack:
            _lock(chosen.state_dir, stack)
            _run(chosen, stack)
    except (AdjusterError, OriginalsError) as error:
        log.error("%s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="oompolicy-adjuster", description="Keep the order of priorities in the oom_score_adj of this node's pods."
    )
    for flag, default, text in (
        ("--run-dir", RUN_DIR, f"the agent's folder with {WANTED}"),
        (
            "--state-dir",
            ADJUSTER_DIR,
            "the folder for the report, and for the original values, which only root may read",
        ),
        ("--cgroup-root", CGROUP_ROOT, "a cgroup v2 mount"),
    ):
        parser.add_argument(flag, type=Path, metavar="DIR", default=default, help=f"{text}; default %(default)s")
    parser.add_argument("--restore", action="store_true", help="put all original values back, and end")
    parser.add_argument("--log-format", choices=["text", "json"], default="text", help="default %(default)s")
    return parser.parse_args(arguments)


def _lock(state_dir: Path, stack: ExitStack) -> None:
    """Allow one adjuster per node, because two would take each other's scores for values of the workload."""
    path = state_dir / "adjuster.lock"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        # The agent reads the report in it, and the kubelet may have made the folder for a mount.
        state_dir.chmod(_FOLDER)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise AdjusterError(f"the state directory cannot be used: {error}") from error
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AdjusterError(f"another adjuster runs on this node: it holds {path}; end it first") from error


def _run(chosen: argparse.Namespace, stack: ExitStack) -> None:
    try:
        boot_id = BOOT_ID.read_text(encoding="ascii").strip()
        originals = Originals(chosen.state_dir / "originals.json", boot_id)
        values = GroupValues(chosen.state_dir / "killgroups.json", boot_id)
        if chosen.restore and not originals.known and not values.known:
            return  # An uninstall asks every node, also those that cannot have scores.
        if not is_cgroup2(chosen.cgroup_root):
            raise AdjusterError(f"{chosen.cgroup_root} is not a cgroup v2 mount: this node's pods cannot be found")
    except OSError as error:
        raise AdjusterError(f"cannot start: {error}") from error
    # A descriptor is open for each process of the node.
    _raise_limit(resource.RLIMIT_NOFILE, 1 << 20)
    processes = Processes()
    enforcer, kill_groups = Enforcer(originals, processes.write), KillGroups(values, OomGroups())
    if chosen.restore:
        problems = [
            *_restore_groups(chosen.cgroup_root, kill_groups),
            *_restore(chosen.cgroup_root, enforcer, processes),
        ]
        if problems:
            raise AdjusterError(f"not all original values are restored: {'; '.join(problems)}; run the command again")
    else:
        reporting = Reporting(chosen.state_dir / ADJUSTER_REPORT, boot_id, processes.comm)
        loop = Loop()
        stack.callback(loop.close)
        request = chosen.run_dir / WANTED
        adjuster = Adjuster(
            request,
            chosen.cgroup_root,
            loop,
            enforcer,
            processes,
            reporting=reporting,
            kill_groups=kill_groups,
            kills=LoggedKills(chosen.state_dir / LOGGED_KILLS, boot_id, loop),
        )
        _follow(adjuster, loop, stack)


def _follow(adjuster: Adjuster, loop: Loop, stack: ExitStack) -> None:
    """Adjust until SIGTERM or SIGINT. All values stay, so that an upgrade changes no order."""
    _stay_in_memory()
    stop_on_signals(loop, stack)
    stack.callback(adjuster.close)
    adjuster.start()
    log.info("running")
    loop.run()
    log.info("ended by a signal")


def _restore_groups(root: Path, kill_groups: KillGroups) -> Iterator[str]:
    """Restore all values of memory.oom.group. Yield the problems."""
    try:
        if kill_groups.known:
            kill_groups.bring(scan(root), {})
    except OSError as error:
        yield str(error)
    if kill_groups.errors:
        yield f"memory.oom.group cannot be written: {', '.join(sorted(kill_groups.errors))}"


def _restore(root: Path, enforcer: Enforcer, processes: Processes) -> Iterator[str]:
    """Restore until a look finds every original value of oom_score_adj in force. Yield the problems."""
    try:
        for _ in range(LOOKS_TO_RESTORE):
            processes.errors.clear()
            # A pod with more cgroups than a look reads has to be restored too.
            found = look.take(root, processes, NOTHING, most=None)
            unfinished = enforcer.restore(found.others)
            # A hidden process is in no group, so nothing restores it, and neither one of a cgroup that was not read.
            if not unfinished and found.complete and not processes.errors[HIDDEN]:
                enforcer.forget_all_but((*found.wanted, *found.others), found.cgroups)
                return
    except OSError as error:
        yield str(error)
    else:
        failed = ", ".join(sorted(set(processes.errors) - {VANISHED}))
        yield failed or "processes start faster than they are restored"


def _raise_limit(limit: int, enough: int) -> None:
    try:
        resource.setrlimit(limit, (enough, enough))
    except (OSError, ValueError) as error:
        log.warning("a limit of this process stays as it is: %s; grant the capability SYS_RESOURCE", error)


def _stay_in_memory() -> None:
    """Lock all memory, so that the adjuster works while memory is short."""
    _raise_limit(resource.RLIMIT_MEMLOCK, resource.RLIM_INFINITY)
    if libc().mlockall(ctypes.c_int(_MCL_CURRENT | _MCL_FUTURE)):
        log.warning("the adjuster may be slow while memory is short: %s", last_error("mlockall"))
