# SPDX-License-Identifier: Apache-2.0
"""Pods that hold memory, and one that takes all there is. Pure."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
IMAGE: Final = f"oompolicy:{VERSION}"
"""Ours has a Python and coreutils, and is there."""

HOLD: Final = "import time; held = b'x' * ({mib} << 20); time.sleep(1e9)"
TAKE_ALL: Final = """
import mmap
CHUNK = b"x" * (8 << 20)
def number(path, name):
    return int(next(line.split()[1] for line in open(path) if line.startswith(name)))
def take(chunks):
    # In huge pages: emulated, a page fault takes as long as two megabytes of memory.
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
"""Take what is free at once, then more until the kernel has killed somebody, and end."""

RESOURCES: Final[dict[str, dict[str, Any]]] = {
    "BestEffort": {},
    "Burstable": {"requests": {"memory": "64Mi", "cpu": "10m"}},
    # Emulated, a program with less of a processor takes a minute to start.
    "Guaranteed": {"limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"memory": "128Mi", "cpu": "500m"}},
}


def holder(namespace: str, name: str, qos: str, mib: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """A pod that holds so much memory, and is started again when it dies."""
    return pod(namespace, name, ["python3", "-c", HOLD.format(mib=mib)], RESOURCES[qos], labels)


def hungry(namespace: str, name: str) -> dict[str, Any]:
    """A pod that leaves nothing to the others until one of them has died; it runs once."""
    once = pod(namespace, name, ["python3", "-c", TAKE_ALL], RESOURCES["Burstable"], {})
    return {**once, "spec": {**once["spec"], "restartPolicy": "Never"}}


def stormy(namespace: str, name: str) -> dict[str, Any]:
    """A pod that runs out of its own limit about once a second."""
    limits = {"limits": {"memory": "24Mi"}}
    return pod(namespace, name, ["sh", "-c", "while :; do tail /dev/zero; sleep 1; done"], limits, {})


def pod(
    namespace: str, name: str, command: list[str], resources: Mapping[str, Any], labels: Mapping[str, str]
) -> dict[str, Any]:
    """With one container, `app`."""
    container = {"name": "app", "image": IMAGE, "command": command, "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(labels)},
        # Python would sleep through the seconds that it is given to end.
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False},
    }
