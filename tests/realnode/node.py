# SPDX-License-Identifier: Apache-2.0
"""The guest's side: `python3 -m tests.realnode.node HOST PORT` calls the host and carries out its orders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel.maps import PriorityMap
from tests.cluster.server import Server
from tests.cluster.waiting import eventually
from tests.endtoend.wire import Wire, obey
from tests.node.hog import oom_kills
from tests.node.machine import pin_this_process
from tests.node.policy import BPFFS
from tests.realnode import scores
from tests.realnode.settings import ADDRESS, ETC, NODE_NAME, SOCKET
from tests.realnode.tunnel import listen_in_guest
from tests.realnode.usage import python_seconds, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DISK: Final = Path("/node")
LOGS: Final = Path("/var/log")
CGROUPS: Final = Path("/sys/fs/cgroup")
MODULES: Final = ("overlay", "br_netfilter", "nf_conntrack")
SYSCTLS: Final = {"net/ipv4/ip_forward": 1, "net/bridge/bridge-nf-call-iptables": 1}
WORKING_SET_MS: Final = 10_000
"""The kernel kills a process rather than reclaim memory that was used in this time:
Documentation/admin-guide/mm/multigen_lru.rst."""

PATH: Final = f"{DISK}/bin:{os.environ['PATH']}"
DAEMON_SCORE_ADJ: Final = -999
"""The value in containerd's unit. kubelet and kube-proxy set it for themselves."""
START_SECONDS: Final = 120.0
READ_SECONDS: Final = 60.0
"""The time limit for `dmesg` to write the kernel's log. It is shorter than the host's wait for the answer."""


def prepare(files: Mapping[str, str]) -> None:
    """Do the work of a distribution and its installer before the start of a kubelet."""
    DISK.mkdir()
    run("mount", find_disk("node"), str(DISK))
    # Otherwise a container would not have the mounts that are made after its start.
    run("mount", "--make-rshared", "/")
    run("modprobe", "-a", *MODULES)
    for name, value in SYSCTLS.items():
        Path("/proc/sys", name).write_text(str(value))
    # Without this a full node reads its programs from the disk again and again, and kills only after minutes.
    Path("/sys/kernel/mm/lru_gen/min_ttl_ms").write_text(str(WORKING_SET_MS))
    # kubelet and kube-proxy search for the interface of a default route.
    run("ip", "route", "add", "default", "via", "10.0.2.2")
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def find_disk(serial: str) -> str:
    """Return the device with the serial that QEMU gave it."""
    (found,) = (path for path in Path("/sys/block").glob("vd*") if (path / "serial").read_text() == serial)
    return f"/dev/{found.name}"


def run(*argv: str) -> str:
    """Return the output of a command. RuntimeError with the output if the command fails."""
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Daemons:
    """containerd, kubelet and kube-proxy, each in a cgroup of its own, as a service manager runs them."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}

    def start_runtime(self) -> None:
        """Start containerd, which already has the images."""
        self._start("containerd", [f"--root={DISK}/containerd"], Path(SOCKET).exists)

    def start_kubelet(self) -> None:
        """Start the kubelet and kube-proxy."""
        words = [f"--config={ETC}/kubelet.yaml", f"--kubeconfig={ETC}/kubelet.kubeconfig", f"--node-ip={ADDRESS}"]
        self._start("kubelet", [*words, f"--hostname-override={NODE_NAME}"], lambda: serves(10248))
        words = [f"--config={ETC}/kube-proxy.yaml", f"--hostname-override={NODE_NAME}"]
        self._start("kube-proxy", words, lambda: serves(10256))

    def tails(self) -> dict[str, str]:
        """Return the end of the log of each daemon."""
        return {name: server.tail() for name, server in self.servers.items()}

    def end(self) -> None:
        """End the daemons. The processes that containerd has started end with the guest."""
        for server in self.servers.values():
            server.kill()

    def _start(self, name: str, words: list[str], ready: Callable[[], bool]) -> None:
        cgroup = CGROUPS / "system.slice" / f"{name}.service"
        cgroup.mkdir(parents=True)
        enter = f"echo $$ >{cgroup}/cgroup.procs; echo {DAEMON_SCORE_ADJ} >/proc/self/oom_score_adj"
        argv = ["env", f"PATH={PATH}", "sh", "-euc", f'{enter}; exec "$@"', "sh", f"{DISK}/bin/{name}", *words]
        self.servers[name] = Server(argv, LOGS / f"{name}.log")
        self.servers[name].start(ready, START_SECONDS)


class KernelLog:
    """The kernel's log from a moment on, in a file. The kernel's own buffer holds only a few OOMs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._file = LOGS / "kernel.log"

    def follow(self) -> None:
        """Begin with the kernel's next line."""
        with self._file.open("wb") as output:
            self._process = subprocess.Popen(["dmesg", "--follow-new"], stdin=subprocess.DEVNULL, stdout=output)

    def followed(self) -> list[str]:
        """Return all lines since `follow`, and end. `dmesg` may need time to write them when memory is short."""
        if self._process:
            end = f"read up to here by {self._process.pid}"
            # A reader sees a line that has no newline only after the next line.
            Path("/dev/kmsg").write_text(f"{end}\n")
            eventually(self._file.read_text, lambda text: end in text, deadline=READ_SECONDS)
            self._process.terminate()
            self._process.wait()
        return self._file.read_text().splitlines()


def priority(uid: str) -> int | None:
    """Return the priority in the kernel's map for the cgroup of a pod, or None without an entry."""
    (cgroup,) = CGROUPS.glob(f"kubepods/**/pod{uid}")
    with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
        found = entries.entries().get(cgroup.stat().st_ino)
    return found[0] if found else None


def serves(port: int) -> bool:
    """Return True if a program listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Return 0 when the host has closed the connection."""
    host, port = sys.argv[1:]
    pin_this_process()
    daemons, log = Daemons(), KernelLog()
    table: dict[str, Callable[..., Any]] = {
        "prepare": prepare,
        "start_runtime": daemons.start_runtime,
        "start_kubelet": daemons.start_kubelet,
        "tails": daemons.tails,
        "follow_kernel_log": log.follow,
        "followed_kernel_log": log.followed,
        "oom_kills": oom_kills,
        "priority": priority,
        "scores": scores.read,
        "usage": usage,
        "python_seconds": python_seconds,
        "shell": lambda script: run("sh", "-euc", script),
    }
    with ExitStack() as stack:
        stack.callback(daemons.end)
        stack.enter_context(listen_in_guest(ADDRESS))
        wire = Wire(socket.create_connection((host, int(port))))
        stack.callback(wire.close)
        obey(wire, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
