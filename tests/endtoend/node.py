# SPDX-License-Identifier: Apache-2.0
"""The guest's side: `python3 -m tests.endtoend.node HOST PORT` calls the host and carries out its orders."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.endtoend.agentprocess import AgentProcess
from tests.endtoend.kubelet import NodeKubelet
from tests.endtoend.shell import Shell
from tests.endtoend.shortage import Shortage
from tests.endtoend.wire import Wire, obey
from tests.node import policy
from tests.node.machine import Node, pin_this_process

if TYPE_CHECKING:
    from collections.abc import Callable

KERNEL_LINES: Final = 150
CHECKOUT: Final = Path("/checkout")
SHELL_LOG: Final = Path("/run/shell.log")


def verbs(kubelet: NodeKubelet, agent: AgentProcess, shortage: Shortage, shell: Shell) -> dict[str, Callable[..., Any]]:
    """Return all orders that the host can send."""
    return {
        "attach": lambda: policy.attach().stdout,
        "start_pods": kubelet.start_pods,
        "end_pods": kubelet.end_pods,
        "run": kubelet.run,
        "limit": kubelet.limit,
        "start_agent": agent.start,
        "kill_agent": agent.kill,
        "agent_alive": lambda: agent.alive,
        "agent_checkpoint": agent.checkpoint,
        "agent_log": agent.log_text,
        "agent_memory": agent.memory,
        "agent_ready": agent.ready,
        "priority": kubelet.priority,
        "await_priority": kubelet.await_priority,
        "await_mode": kubelet.await_mode,
        "forget_priorities": kubelet.forget_priorities,
        "overrun": shortage.overrun,
        "exhaust_pods": shortage.exhaust_pods,
        "exhaust_node": shortage.exhaust_node,
        "killed": shortage.killed,
        "kernel_log": kernel_log,
        "write_file": lambda path, text: Path(path).write_text(text),
        "shell": shell.run,
        "end_shell": shell.end,
    }


def kernel_log() -> str:
    """Return the end of the kernel's log."""
    lines = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(lines[-KERNEL_LINES:])


def main() -> int:
    """Return 0 when the host has closed the connection."""
    host, port = sys.argv[1:]
    pin_this_process()
    with ExitStack() as stack:
        machine = Node(stack)
        kubelet = NodeKubelet(machine)
        agent = AgentProcess(kubelet)
        stack.callback(agent.kill)
        shell = Shell(CHECKOUT, SHELL_LOG)
        stack.callback(shell.end)
        wire = Wire(socket.create_connection((host, int(port))))
        stack.callback(wire.close)
        obey(wire, verbs(kubelet, agent, Shortage(kubelet), shell))
    return 0


if __name__ == "__main__":
    sys.exit(main())
