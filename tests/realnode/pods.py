# SPDX-License-Identifier: Apache-2.0
"""Pods that hold memory, and one that takes all free memory. The functions are pure."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
IMAGE: Final = f"oompolicy:{VERSION}"
"""Our own image has Python and coreutils, and is on the node."""

HOLD: Final = "import time; held = b'x' * ({mib} << 20); time.sleep(1e9)"
TAKE_ALL: Final = """
import mmap
CHUNK = b"x" * (8 << 20)
def number(path, name):
    return int(next(line.split()[1] for line in open(path) if line.startswith(name)))
def take(chunks):
    # Huge pages: under emulation a page fault takes as long as two megabytes of memory.
    memory = mmap.mmap(-1, chunks * len(CHUNK))
    memory.madvise(mmap.MADV_HUGEPAGE)
    for chunk in range(chunks):
        memory[chunk * len(CHUNK):(chunk + 1) * len(CHUNK)] = CHUNK
    return memory
before = number("/proc/vmstat", "oom_kill ")
held = [take(max(1, (number("/proc/meminfo", "MemAvailable:") << 10) // len(CHUNK) - 2))]
while number("/proc/vmstat", "oom_kill ") == before:
    held.append(take(1))
"""
"""A program that takes all free memory at once, then more until the kernel has killed a process, and ends."""

RESOURCES: Final[dict[str, dict[str, Any]]] = {
    "BestEffort": {},
    "Burstable": {"requests": {"memory": "64Mi", "cpu": "10m"}},
    # Under emulation a program with less of a processor takes a minute to start.
    "Guaranteed": {"limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"memory": "128Mi", "cpu": "500m"}},
}


def holder(namespace: str, name: str, qos: str, mib: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a pod that holds `mib` MiB of memory, and that the kubelet restarts when it dies."""
    return pod(namespace, name, ["python3", "-c", HOLD.format(mib=mib)], RESOURCES[qos], labels)


def hungry(namespace: str, name: str) -> dict[str, Any]:
    """Return a pod that runs once, and takes all memory until the kernel has killed a process."""
    once = pod(namespace, name, ["python3", "-c", TAKE_ALL], RESOURCES["Burstable"], {})
    return {**once, "spec": {**once["spec"], "restartPolicy": "Never"}}


def stormy(namespace: str, name: str) -> dict[str, Any]:
    """Return a pod that exceeds its own limit about once a second."""
    limits = {"limits": {"memory": "24Mi"}}
    return pod(namespace, name, ["sh", "-c", "while :; do tail /dev/zero; sleep 1; done"], limits, {})


def pod(
    namespace: str, name: str, command: list[str], resources: Mapping[str, Any], labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return a pod with one container, `app`."""
    container = {"name": "app", "image": IMAGE, "command": command, "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(labels)},
        # Python would sleep during the whole grace period.
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False},
    }
