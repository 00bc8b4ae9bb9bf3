# SPDX-License-Identifier: Apache-2.0
"""A task that may only use another NUMA node's memory cannot be the victim, so that no policy spares it."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import VictimFlag
from tests.node.hog import KernelLog
from tests.node.policy import flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node
    from tests.node.policy import Policy

pytestmark = pytest.mark.numa

FILL_SOCKETS = """
import contextlib, ctypes, pathlib, resource, socket, sys
pathlib.Path(sys.argv[1]).write_text('0')
pathlib.Path('/proc/self/oom_score_adj').write_text('0')
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
pairs, data = [socket.socketpair() for _ in range(3000)], bytes(32768)
def fill(pairs):
    for full, _ in pairs:
        full.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                full.send(data)
fill(pairs[:1])
if ctypes.CDLL(None).mlockall(1):
    sys.exit('mlockall')
print('ready', flush=True)
sys.stdin.readline()
fill(pairs[1:])
"""
"""A program that fills sockets. Their memory may come from any node (GFP_KERNEL has no __GFP_HARDWALL), so that the OOM
is the OOM of the whole machine. The possible victims are still the tasks that have a node in common with the current
task. A page fault would be an OOM of the cpuset. So the program has all its pages before it waits for a line."""


@pytest.fixture
def of_node(node: Node) -> dict[str, Cgroup]:
    """Return cgroups with the memory of one node alone, as the kubelet's static memory manager makes them."""
    top = node.cgroup("pods")
    for path in (top.path.parent, top.path):
        (path / "cgroup.subtree_control").write_text("+cpuset")
    return {name: top.child(name, cpuset__mems=name[-1]) for name in ("low0", "high1", "trigger0")}


@contextmanager
def filler_of_sockets(cgroup: Cgroup) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that fills sockets when it receives a line."""
    command = [sys.executable, "-c", FILL_SOCKETS, str(cgroup.path / "cgroup.procs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert "ready\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_task_of_another_node_is_not_reported_as_spared(
    node: Node, of_node: dict[str, Cgroup], policy: Policy
) -> None:
    """The current task cannot use the bigger task's memory, so the kernel alone would not have killed that one."""
    low = node.hog(of_node["low0"], 20)
    high = node.hog(of_node["high1"], 40)
    policy.set({of_node["low0"]: 100, of_node["high1"]: 900})
    with closing(KernelLog()) as log, filler_of_sockets(of_node["trigger0"]) as trigger:
        node.fill()
        assert trigger.stdin
        trigger.stdin.write("fill\n")
        trigger.stdin.flush()
        assert low.pid == log.victim()
        # The trigger fills its sockets until no other task is left that can die.
        assert -signal.SIGKILL == trigger.wait()

    # The program cannot compute the kernel's choice, and says so.
    record = policy.record_of(low)
    assert VictimFlag.SELECTED | VictimFlag.UNSURE == flags(record)
    assert high.alive
