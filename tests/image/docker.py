# SPDX-License-Identifier: Apache-2.0
"""Run a Docker Engine during a block, and remove everything of it afterwards.

The engine has its own mounts, processes and socket. It has no bridge and no firewall rule: containers have this
machine's network or none. So it does not touch another Docker, and its processes always end with ours.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.image.engine import engine_folder, ensure_engine
from tests.image.errors import DockerError
from vmtest.cache import locked
from vmtest.chroot import pairs, private_command
from vmtest.progress import SHOWN_LINES, last_lines, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_SECONDS = 120.0
STOP_SECONDS = 60.0
CHECK_SECONDS = 0.1
# The name has this process's id, because two engines may run at the same time.
CGROUP = f"oompolicy-images-{os.getpid()}"
CGROUPS = Path("/sys/fs/cgroup")

# $1 is the root, $2 Docker's own data, then pairs of a host path and its name up to "--", then dockerd. The name is a
# name below /mnt, or an absolute path.
# The script uses pivot_root and not only chroot, because runc uses pivot_root as well.
ENTER = """
root=$1; data=$2; shift 2
mount --bind "$root" "$root"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for each in run tmp mnt; do mount -t tmpfs tmpfs "$root/$each"; done
for each in resolv.conf hosts; do touch "$root/etc/$each"; mount --bind "/etc/$each" "$root/etc/$each"; done
mkdir -p "$root/var/lib/docker"
mount --bind "$data" "$root/var/lib/docker"
while [ "$1" != -- ]; do
    case $2 in /*) at=$root$2 ;; *) at=$root/mnt/$2 ;; esac
    mkdir -p "$at"
    mount --bind "$1" "$at"
    shift 2
done
shift
cd "$root"
mkdir run/host
pivot_root . run/host
umount --lazy /run/host
exec "$@"
"""

DAEMON = [
    *("dockerd", "--host=unix:///run/docker.sock", f"--cgroup-parent=/{CGROUP}"),
    *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
]


class Docker:
    """The running engine. The folders of `binds` are below /mnt or at their path, for builds and for mounts."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--", "env", "-i", "HOME=/tmp"]
        self._enter += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

    def argv(self, *words: str) -> list[str]:
        """Return the command that runs a program of the tree beside the engine."""
        return [*self._enter, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a container with `docker run`, and return its status and output. Its end removes the container."""
        argv = self.argv("docker", "run", "--rm", *words)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def __call__(self, *words: str) -> str:
        """Run another command of Docker, and return its output. The DockerError has the error output."""
        argv = self.argv("docker", *words)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DockerError(f"docker {words[0]} ended with status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def running_docker(binds: Mapping[str, Path], data: Path | None = None) -> Iterator[Docker]:
    """Run the engine. Without `data` it uses its data in the cache, which keeps the layers of earlier builds."""
    root = ensure_engine()
    usual = engine_folder().with_name("data")
    with contextlib.ExitStack() as stack:
        if data is None:
            # Two engines in one folder would destroy its data.
            stack.enter_context(locked(usual.with_name("data.lock")))
            usual.mkdir(parents=True, exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oompolicy-docker-")))
        stack.callback(remove_cgroups)
        docker = stack.enter_context(daemon(command(root, data or usual, binds), folder / "dockerd.log"))
        yield docker


def command(root: Path, data: Path, binds: Mapping[str, Path]) -> list[str]:
    """Write the command that enters the namespaces. Its process is the engine's parent."""
    return private_command(ENTER, [str(root), str(data), *pairs(binds), "--", *DAEMON])


@contextlib.contextmanager
def daemon(argv: Sequence[str], log: Path) -> Iterator[Docker]:
    """Start, wait until it answers, and end it."""
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        with step("docker: starting"):
            docker = answering(process, log)
        yield docker
        stop(process)
    finally:
        process.kill()
        process.wait()


def answering(process: subprocess.Popen[bytes], log: Path) -> Docker:
    """Return the engine when it answers. DockerError if it ends or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if (pid := child(process.pid)) is not None:
            docker = Docker(pid)
            with contextlib.suppress(DockerError):
                docker("version")
                return docker
        time.sleep(CHECK_SECONDS)
    raise DockerError(f"dockerd does not answer; its log ends with:\n{last_lines(log, SHOWN_LINES)}")


def child(pid: int) -> int | None:
    """Return the only child of a process, or None if it has none (any more)."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(found[0]) if found else None


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the engine to end, so that it writes its data."""
    if (pid := child(process.pid)) is not None:
        subprocess.run(["kill", "-TERM", str(pid)], check=False)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def remove_cgroups() -> None:
    """Remove the control groups that containers left, because they are outside of all namespaces."""
    # cgroup v1 has a tree per controller.
    for top in [CGROUPS / CGROUP, *CGROUPS.glob(f"*/{CGROUP}")]:
        for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        if top.is_dir():
            top.rmdir()
