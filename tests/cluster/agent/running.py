# SPDX-License-Identifier: Apache-2.0
"""A node made of files, and the agent's process on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oompolicy_agent.kernel.layout import KernelMode
from oompolicy_agent.objects.checkpoint import boot_id
from oompolicy_agent.victims.spool import Spool
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually
from tests.unit.agent.fakes import id_of, ids_along, make, record
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from contextlib import ExitStack

    from tests.cluster.cluster import Cluster

SLICE = "kubepods.slice/kubepods-burstable.slice"


def pod_cgroup(uid: str) -> str:
    """Return the path of a pod's cgroup, as kubelet names it with systemd."""
    return f"{SLICE}/kubepods-burstable-pod{uid.replace('-', '_')}.slice"


class RunningAgent:
    """The agent of one node. A test can start and end it several times, and its folders stay."""

    def __init__(self, cluster: Cluster, folder: Path, node: str, kubeconfig: Path, stack: ExitStack) -> None:
        self.cluster, self.folder, self.node = cluster, folder, node
        self.root, self.state, self.log = folder / "cgroup", folder / "state", folder / "agent.log"
        for name in ("run", "kernel", "bpffs/links/abc", "cgroup", "state", "serviceaccount"):
            (folder / name).mkdir(parents=True)
        (folder / "serviceaccount/ca.crt").write_bytes(cluster.ca.read_bytes())
        self.mount_token(kubeconfig)
        make(self.root, SLICE)
        self.port = stack.enter_context(reserved_port())
        self.process: subprocess.Popen[bytes] | None = None
        stack.callback(self.kill)

    def mount_token(self, kubeconfig: Path) -> None:
        """Replace the mounted token by the one in a kubeconfig, as the kubelet does from time to time."""
        (user,) = json.loads(kubeconfig.read_text())["users"]
        new = self.folder / "serviceaccount/..new"
        new.write_text(user["user"]["token"])
        new.replace(self.folder / "serviceaccount/token")

    def attach(self) -> None:
        """Make the pins and the report of a loader."""
        (self.folder / "bpffs/links/abc/evaluate_task").touch()
        os.mkfifo(self.folder / "kernel/victims")
        self.set_program_mode(KernelMode.ENFORCE)
        (self.folder / "kernel/host_priority").write_text("1000")
        report = {"backend": "EvaluateTask", "hook": "Kernel", "object": "abc", "bootId": boot_id(), "attached": True}
        (self.folder / "run/loader.json").write_text(json.dumps(report))

    def set_program_mode(self, mode: KernelMode) -> None:
        """Set the mode of the program, as the loader does."""
        (self.folder / "kernel/mode").write_text(str(int(mode)))

    @property
    def program_mode(self) -> KernelMode:
        """The mode of the program."""
        return KernelMode(int((self.folder / "kernel/mode").read_text()))

    @property
    def host_priority(self) -> int:
        """The program's priority of processes outside of pods."""
        return int((self.folder / "kernel/host_priority").read_text())

    def start(self, *flags: str, **settings: Any) -> None:  # noqa: ANN401
        """Start the agent. `settings` are settings without a flag."""
        source = flags or ("--in-cluster", "--impersonate-node")
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.cluster.agent.program"]
        command += [str(self.folder / "kernel"), json.dumps(settings), *source, "--node", self.node]
        for name, folder in (("state-dir", "state"), ("run-dir", "run"), ("bpffs", "bpffs"), ("cgroup-root", "cgroup")):
            command += [f"--{name}", str(self.folder / folder)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--naming-grace", "0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=self._environment())

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join(str(CHECKOUT / each) for each in ("operator", "agent", "."))
        host, _, port = self.cluster.url.removeprefix("https://").partition(":")
        pod = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        return {**os.environ, **pod, "PYTHONPATH": paths}

    def detach(self) -> None:
        """Remove the pins and the report, as on a node where no loader ran."""
        (self.folder / "kernel/victims").unlink()
        (self.folder / "run/loader.json").unlink()

    def forget_map(self) -> None:
        """Forget all entries that were written to the map."""
        (self.folder / "kernel/written").unlink()

    def end(self) -> None:
        """Send SIGTERM, as the kubelet does, and wait for the end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    # The agent's reports.

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a path, or (0, "") while the agent does not listen."""
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

    def metric(self, name: str) -> float | None:
        """Return a sample by its name and labels, as the page has them, or None if there is no such sample."""
        for line in self.page("/metrics")[1].splitlines():
            sample, _, value = line.rpartition(" ")
            if sample == f"oompolicy_agent_{name}":
                return float(value)
        return None

    def status(self) -> dict[str, Any]:
        """Return the status of the OOMNode, which is empty before the first report."""
        return dict(self.cluster.api.get("OOMNode", self.node).get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        """Return one condition of the OOMNode."""
        return next((dict(each) for each in self.status().get("conditions", ()) if each["type"] == kind), {})

    def local_condition(self, kind: str) -> dict[str, Any]:
        """Return one condition of status.json, which has the same conditions even without an API server."""
        conditions = self._local_status().get("conditions", ())
        return next((dict(each) for each in conditions if each["type"] == kind), {"status": "Unknown"})

    def last_victims(self) -> list[dict[str, Any]]:
        """Return the last victims in status.json."""
        return list(self._local_status().get("lastVictims", ()))

    def problems(self) -> list[str]:
        """Return the problems in status.json."""
        return list(self._local_status().get("problems", ()))

    def _local_status(self) -> dict[str, Any]:
        path = self.folder / "run/status.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def private_kib(self) -> int:
        """Return the memory that the process does not share."""
        assert self.process
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))

    def priority(self, path: str) -> int | None:
        """Return the priority of the last entry that was written for a cgroup."""
        return next(reversed(self.priorities(path)), None)

    def priorities(self, path: str) -> list[int]:
        """Return the priorities of all entries that were written for a cgroup, in the order of the writes."""
        wanted = str(id_of(self.root, path))
        entries = [line.split() for line in self.written()]
        return [int(priority) for cgroup_id, priority, _ in entries if cgroup_id == wanted]

    def written(self) -> list[str]:
        path = self.folder / "kernel/written"
        return path.read_text().splitlines() if path.exists() else []

    # Changes to the node.

    def run(self, pod: dict[str, Any], *container_ids: str) -> str:
        """Make the cgroups of a pod and its containers, and return the path of the last one."""
        path = pod_cgroup(pod["metadata"]["uid"])
        paths = [path, *(f"{path}/cri-containerd-{each}.scope" for each in container_ids)]
        make(self.root, *paths)
        return paths[-1]

    def make(self, path: str) -> None:
        """Make a cgroup that does not belong to a pod."""
        make(self.root, path)

    def cgroup_of(self, pod: dict[str, Any]) -> str:
        """Return the path of a pod's cgroup."""
        return pod_cgroup(pod["metadata"]["uid"])

    def oom_kill(self, path: str, tgid: int, **fields: Any) -> None:  # noqa: ANN401
        """Report a kill in this cgroup, as the kernel does, with the priority of the written entry."""
        with (self.folder / "kernel/victims").open("ab", buffering=0) as pipe:
            pipe.write(self._record(path, tgid, **fields))

    def cgroup_ids(self, path: str) -> list[int]:
        """Return the ids of all cgroups from the root down to this one."""
        return ids_along(self.root, path)

    def spool(self, path: str, *tgids: int) -> None:
        """Spool kills in this cgroup, as an agent does that then dies."""
        spool = Spool(self.state / "spool", boot_id())
        for tgid in tgids:
            spool.add(self._record(path, tgid))

    def spooled(self) -> list[Path]:
        """Return the files of victims that are not reported yet."""
        return sorted((self.state / "spool").glob("*.victim"))

    def _record(self, path: str, tgid: int, **fields: Any) -> bytes:  # noqa: ANN401
        ids = ids_along(self.root, path)
        entries = {int(line.split()[0]): int(line.split()[1]) for line in self.written()}
        above = [level for level, cgroup_id in enumerate(ids) if cgroup_id in entries]
        priority = {"priority": entries[ids[above[-1]]], "priority_level": above[-1]} if above else {}
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return bytes(record(path, ids, victim_tgid=tgid, boottime_ns=now, **priority, **fields))
