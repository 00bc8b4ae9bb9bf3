# SPDX-License-Identifier: Apache-2.0
"""A node made of files, and the agent's process on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from oompolicy_agent.checkpoint import boot_id
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually
from tests.unit.agent.fakes import id_of, ids_along, make, record
from tests.vm.cache import CHECKOUT

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tests.cluster.cluster import Cluster

SLICE = "kubepods.slice/kubepods-burstable.slice"


def pod_cgroup(uid: str) -> str:
    """As kubelet names it with systemd."""
    return f"{SLICE}/kubepods-burstable-pod{uid.replace('-', '_')}.slice"


class RunningAgent:
    """One node's agent. `start` and `end` it as often as a test likes; its folders stay."""

    def __init__(self, cluster: Cluster, folder: Path, node: str, kubeconfig: Path, stack: ExitStack) -> None:
        self.cluster, self.folder, self.node, self.kubeconfig = cluster, folder, node, kubeconfig
        self.root, self.state, self.log = folder / "cgroup", folder / "state", folder / "agent.log"
        for name in ("run", "kernel", "bpffs/links/abc", "cgroup", "state"):
            (folder / name).mkdir(parents=True)
        make(self.root, SLICE)
        self.port = stack.enter_context(reserved_port())
        self.process: subprocess.Popen[bytes] | None = None
        self.flags = ["--kubeconfig", str(kubeconfig)]
        stack.callback(self.end, signal.SIGKILL)

    def attach(self) -> None:
        """What the loader leaves behind."""
        (self.folder / "bpffs/links/abc/evaluate_task").touch()
        os.mkfifo(self.folder / "kernel/victims")
        report = {"backend": "EvaluateTask", "hook": "Kernel", "object": "abc", "bootId": boot_id(), "attached": True}
        (self.folder / "run/loader.json").write_text(json.dumps(report))

    def start(self, *flags: str, **settings: Any) -> None:  # noqa: ANN401
        command = [sys.executable, "-m", "tests.cluster.agent.program", str(self.folder / "kernel")]
        command += [
            json.dumps(settings),
            *self.flags,
            *flags,
            "--node",
            self.node,
            "--listen",
            f"127.0.0.1:{self.port}",
        ]
        for name in ("state", "run", "bpffs"):
            command += [f"--{name}{'' if name == 'bpffs' else '-dir'}", str(self.folder / name)]
        command += ["--cgroup-root", str(self.root), "--naming-grace", "0"]
        paths = os.pathsep.join(str(CHECKOUT / each) for each in ("operator", "agent", "."))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": paths})

    def end(self, number: int = signal.SIGTERM) -> None:
        """With a signal, and wait for the end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    # What it says.

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    def wait_ready(self) -> None:
        eventually(lambda: self.page("/readyz"), lambda page: page == (200, "ok\n"), deadline=60)

    def metric(self, name: str) -> float:
        """A sample, with its labels as they are written."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(f"oompolicy_agent_{name} "):
                return float(line.split()[-1])
        return 0.0

    def status(self) -> dict[str, Any]:
        """What OOMNode says; empty before it says anything."""
        return dict(self.cluster.api.get("OOMNode", self.node).get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        return next((dict(each) for each in self.status().get("conditions", ()) if each["type"] == kind), {})

    def priority(self, path: str) -> int | None:
        """That of the last entry written for a cgroup."""
        wanted, found = id_of(self.root, path), None
        for line in self.written():
            cgroup_id, priority, _ = line.split()
            found = int(priority) if int(cgroup_id) == wanted else found
        return found

    def written(self) -> list[str]:
        path = self.folder / "kernel/written"
        return path.read_text().splitlines() if path.exists() else []

    # What happens to its node.

    def run(self, pod: dict[str, Any]) -> str:
        """Give a pod its cgroup."""
        path = pod_cgroup(pod["metadata"]["uid"])
        make(self.root, path)
        return path

    def kill(self, path: str, tgid: int, **fields: Any) -> None:  # noqa: ANN401
        """The kernel kills a process of this cgroup."""
        raw = bytes(record(path, ids_along(self.root, path), victim_tgid=tgid, **fields))
        with (self.folder / "kernel/victims").open("ab", buffering=0) as pipe:
            pipe.write(raw)
