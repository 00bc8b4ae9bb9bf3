# SPDX-License-Identifier: Apache-2.0
"""`oompolicy-trace` on the node, started in a terminal by the command of docs/trace.md."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from tests.cluster.chart.pages import blocks
from tests.cluster.waiting import eventually
from tests.realnode.__main__ import environment
from tests.realnode.realcluster import SLOW_SECONDS
from tests.realnode.settings import NODE_NAME
from tests.realnode.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.realnode.realcluster import RealCluster

READY: Final = "waiting for an OOM. Ctrl-C ends"
END_SECONDS: Final = 120.0
NAMESPACE: Final = "default"
"""The page names no namespace."""
PROBES: Final = """
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
cat /sys/kernel/debug/kprobes/list
"""


class Witness:
    """The running tool, and its pod."""

    def __init__(self, cluster: RealCluster, terminal: Terminal, probes: set[str]) -> None:
        self._cluster, self._terminal, self._other_probes = cluster, terminal, probes

    @property
    def text(self) -> str:
        """Everything that the terminal shows."""
        return self._terminal.text

    def probes(self) -> set[str]:
        """Return the kernel functions that the tool watches by a kprobe, as the kernel lists them."""
        return kprobes(self._cluster) - self._other_probes

    def end(self) -> int:
        """Press Ctrl-C, and return the exit status of kubectl."""
        self._terminal.press_ctrl_c()
        return self._terminal.wait(END_SECONDS)

    def exit_status(self) -> int | None:
        """Return the exit status of the tool when the kubelet has reported it."""
        return eventually(self._ended, lambda seen: seen is not None, deadline=END_SECONDS)

    def _ended(self) -> int | None:
        (pod,) = self._cluster.api.list("Pod", NAMESPACE)
        status: int | None = pod["status"]["containerStatuses"][0]["state"].get("terminated", {}).get("exitCode")
        return status


def kprobes(cluster: RealCluster) -> set[str]:
    """Return the lines of the kernel's list."""
    return set(cluster.guest.order("shell", script=PROBES).splitlines())


@contextmanager
def watching(cluster: RealCluster) -> Iterator[Witness]:
    """Yield a witness that waits for an OOM. Afterwards delete its pod, as the page says."""
    probes = kprobes(cluster)
    command = blocks("trace.md")[0].replace("node/NODE", f"node/{NODE_NAME}").replace("REGISTRY/", "")
    with closing(Terminal(environment(cluster) + command)) as terminal:
        eventually(lambda: READY in terminal.text or not terminal.running, bool, deadline=SLOW_SECONDS)
        assert READY in terminal.text, terminal.text
        yield Witness(cluster, terminal, probes)
        (name,) = re.findall(r"Creating debugging pod (\S+)", terminal.text)
        cluster.kubectl("delete", "pod", name)
