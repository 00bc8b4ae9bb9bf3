# SPDX-License-Identifier: Apache-2.0
"""Measure the adjuster on a node with the kubelet's maximum of pods: `python3 -m benchmarks.adjusterguest`."""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.adjuster import memory as node_memory
from oompolicy_agent.adjuster.processes import Processes
from tests.endtoend.measure import MAX_PODS, PRIORITIES
from tests.node import policy as attached
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.machine import Node
from tests.node.running_adjuster import RunningAdjuster, score
from tests.node.running_agent import RUN_DIR, RunningAgent, wait_until
from tests.realnode.usage import memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.node.hog import Hog

RESULT: Final = Path("/artifacts/adjuster.json")
LIMIT_MIB: Final = 1200
STORM_LEFT: Final = 0.03
"""The share of the pods' limit that is left in the storm. Below 5 % the adjuster looks as often as it can."""
CLASSES: Final = tuple(PRIORITIES)
FAR: Final = 100
"""The smallest difference of the scores of the two priorities. Each level has a half of all steps above the host's."""


@dataclass(frozen=True)
class Spell:
    """The adjuster's CPU seconds within `seconds`, and the looks in them."""

    cpu: float
    seconds: float
    looks: int


@dataclass(frozen=True)
class Result:
    """The adjuster's memory in KiB, its CPU, and the seconds from a changed label to a changed score.

    `work` is the node's shortest CPU time for a piece of work that the host does too, in seconds. Other load on the
    host makes the node slower, so with the quickest time the divided CPU is rather too large than too small.
    """

    pods: int
    processes: int
    private: float
    rss: float
    idle: Spell
    storm: Spell
    changes: list[float]
    work: float


class Full:
    """A node without the hook, full of pods with two containers' worth of processes, an agent and an adjuster."""

    def __init__(self, node: Node, stack: ExitStack, pods: int) -> None:
        self.kubelet = Kubelet(node, root_limit=LIMIT_MIB)
        # With both priorities on the node at all times, a pod that changes has another score.
        self.pods = [Pod(f"web-{number}", "crowd", labels={"class": CLASSES[number % 2]}) for number in range(pods)]
        self.hogs: list[Hog] = []
        for number, pod in enumerate(self.pods):
            node.hog(self.kubelet.container(pod, "POD"), 0, adj=-998)
            options = ["--crowd", str(1 + number % 3)]
            self.hogs.append(node.hog(self.kubelet.container(pod, "app"), 1 + number % 4, adj=990, options=options))
        attached.loader("attach", "--object-dir", attached.BUILD / "bpf")
        folder = Path("/run/adjuster-benchmark")
        folder.mkdir()
        self.adjuster, self.agent = RunningAdjuster(folder), RunningAgent(folder / "agent", RUN_DIR)
        self.adjuster.run_dir = RUN_DIR
        self.agent.options = ["--scores", "--adjuster-dir", str(self.adjuster.state)]
        stack.callback(self.agent.kill)
        stack.callback(self.adjuster.kill)
        self.adjuster.start()
        write_manifests(self.agent.manifests, settings(), *policies(), *(pod.manifest() for pod in self.pods))
        self.agent.start()
        wait_until("scores", lambda: self.agent.condition("Enforcing")["reason"] == "ScoresInForce", 300)
        wait_until("all scores", lambda: all(score(hog.pid) != 990 for hog in self.hogs), 300)

    def spell(self, seconds: float) -> Spell:
        """Measure the adjuster for a time."""
        before, began, looked = self.cpu(), time.monotonic(), self.looks(seconds)
        return Spell(self.cpu() - before, time.monotonic() - began, looked)

    def looks(self, seconds: float) -> int:
        """Count the reports of a time. Each look writes one, in a new file."""
        path, found = self.adjuster.state / "report.json", set[int]()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found.add(path.stat().st_mtime_ns)
            time.sleep(0.05)
        return len(found) - 1

    def cpu(self) -> float:
        """Return the CPU seconds of the adjuster by the scheduler, which are finer than clock ticks."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def pid(self) -> int:
        """The adjuster's pid."""
        return self.adjuster.process.pid if self.adjuster.process else 0

    def changes(self, count: int) -> Iterator[float]:
        """Yield the seconds from a changed label to the changed score, pod after pod."""
        for number in range(count):
            pod, hog = self.pods[number % len(self.pods)], self.hogs[number % len(self.pods)]
            pod.labels["class"] = CLASSES[1 - CLASSES.index(pod.labels["class"])]
            before, began = score(hog.pid), time.monotonic()
            write_manifests(self.agent.manifests, pod.manifest())
            while abs(score(hog.pid) - before) < FAR:
                if time.monotonic() > began + 30:
                    raise TimeoutError(f"{pod.name} has {before} after 30 s")
                time.sleep(0.001)
            yield time.monotonic() - began

    def begin_storm(self) -> None:
        """Leave almost nothing of the pods' limit."""
        found = node_memory.of_cgroup(self.kubelet.kubepods.path)
        assert found  # noqa: S101 (for the type checker)
        used = (found.total - found.left) * 4096
        self.kubelet.kubepods.write("memory.max", int(used / (1 - STORM_LEFT)))


def look_seconds(turns: int = 2000) -> float:
    """Return the CPU seconds of reading this process as a look does. This value compares the speed of two machines."""
    processes, pid = Processes(), os.getpid()
    begun = time.process_time()
    for _ in range(turns):
        processes.read([pid])
    spent = time.process_time() - begun
    processes.keep(())
    return spent


def settings() -> dict[str, Any]:
    """Return the OOMSettings of a cluster that enforces."""
    metadata = {"name": "cluster"}
    spec = {"mode": "Enforce"}
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": metadata, "spec": spec}


def policies() -> Iterator[dict[str, Any]]:
    """Yield two policies that distinguish the pods by label."""
    for name, priority in PRIORITIES.items():
        match = {"podSelector": {"matchLabels": {"class": name}}}
        yield policy_manifest(name, match=match, priority={"value": priority})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the result into a file for the host."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.adjusterguest", description=__doc__)
    parser.add_argument("--pods", type=int, default=MAX_PODS)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--changes", type=int, default=300)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        full = Full(Node(stack), stack, options.pods)
        say(f"{options.pods} pods")
        work = [look_seconds() for _ in range(3)]
        idle = full.spell(options.seconds)
        say(f"idle: {idle}")
        work.append(look_seconds())
        changes = list(full.changes(options.changes))
        used = memory(str(full.pid))
        full.begin_storm()
        storm = full.spell(options.seconds / 4)
        say(f"storm: {storm}")
        work.append(look_seconds())
        processes = sum(bool(re.fullmatch(r"\d+", path.name)) for path in Path("/proc").iterdir())
    private = used["Private_Clean"] + used["Private_Dirty"]
    result = Result(options.pods, processes, private, used["Rss"], idle, storm, changes, min(work))
    RESULT.write_text(json.dumps(asdict(result)))


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"bench: {text}", flush=True)


if __name__ == "__main__":
    main()
