# SPDX-License-Identifier: Apache-2.0
"""Run out of memory so that one kill is enough, and count the kills: `python3 -m benchmarks.surplusguest`."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.shortages import Shortage, Shortages
from oompolicy_agent.kernel.layout import KernelMode
from tests.node import in_process
from tests.node.hog import oom_kills
from tests.node.machine import Node, available_mib, pin_this_process
from tests.node.policy import Policy

if TYPE_CHECKING:
    from tests.node.cgroup import Cgroup

RESULT: Final = Path("/artifacts/shortages.json")
CASES: Final = (("limit", 4), ("limit", 34), ("limit", 200), ("node", 34), ("node", 200))
"""Scope, and MiB of the victim. On the node the kernel's own use of memory varies by more than 4 MiB."""
SMALL_MIB: Final = 2
SMALL: Final = 4
"""The number of small processes, which a kill beyond need takes."""
ROOM_MIB: Final = 32
"""The memory of the limit that no process holds before the trigger grows."""


def shortage(scope: str, mib: int, policy: Policy | None) -> Shortage:
    """Let a process take more than there is, but less than there is after the victim's end."""
    with ExitStack() as stack:
        node = Node(stack)
        pod = node.cgroup("pod")
        cgroups = [pod.child(name) for name in ("victim", *(f"small{number}" for number in range(SMALL)))]
        for cgroup, size in zip(cgroups, (mib, *[SMALL_MIB] * SMALL), strict=True):
            node.hog(cgroup, size, adj=500 if cgroup is cgroups[0] else 0)
        if policy:
            policy.clear()
            policy.set({cgroup: 100 if cgroup is cgroups[0] else 500 for cgroup in cgroups})
        # It is no candidate, so the bare kernel and the policy choose the same victim.
        trigger = node.hog(pod.child("trigger"), 0, adj=-1000)
        missing = room(node, pod, scope, mib) + mib * 3 // 4
        before, started = oom_kills(), time.monotonic()
        trigger.grow(missing)
        while oom_kills() == before:  # on the node, the kernel's estimate of the room can be too low
            trigger.grow(max(1, mib // 8))
        seconds = time.monotonic() - started
        return Shortage(scope, mib, policy is not None, oom_kills() - before, seconds)


def room(node: Node, pod: Cgroup, scope: str, mib: int) -> int:
    """Make memory scarce, and return the MiB that are left."""
    if scope == "limit":
        pod.write("memory.max", (mib + SMALL * SMALL_MIB + ROOM_MIB) << 20)
        return ROOM_MIB
    node.fill()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    return available_mib()


def block(found: Shortages, ooms: int, policy: Policy | None) -> None:
    """Run out of memory `ooms` times in each case."""
    for _ in range(ooms):
        found.shortages += [shortage(*case, policy) for case in CASES]


def main() -> int:
    """Alternate blocks without and with oompolicy, and write the results."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.surplusguest", description=__doc__)
    parser.add_argument("--ooms", type=int, required=True)
    parser.add_argument("--blocks", type=int, required=True)
    options = parser.parse_args()
    found = Shortages()
    pin_this_process()
    for _ in range(options.blocks):
        in_process.detach()
        block(found, options.ooms, None)
        in_process.attach()
        policy = Policy()
        policy.set_mode(KernelMode.ENFORCE)
        block(found, options.ooms, policy)
        policy.close()
    found.write(RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
