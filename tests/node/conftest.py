# SPDX-License-Identifier: Apache-2.0
"""The guest's cgroups, processes and attached policy, each test with its own and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.layout import KernelMode
from tests.node import policy as attached
from tests.node.hog import run_out_of_memory
from tests.node.machine import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.hog import Hog
    from tests.node.policy import Policy

SECOND_NODE = Path("/sys/devices/system/node/node1")
NEWEST = "trixie-backports"
"""The newest stock kernel: its recipe for a module's BTF is the one that changed last."""

SECONDS_PER_TEST = 300
"""A scan that never ends is a bug this suite looks for; under emulation the slowest test takes a tenth."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "OOMPOLICY_GUEST" in os.environ:
        keep_those_of_this_guest(config, items)
        return
    reason = "these tests take this machine's memory away: run them in a guest, with `make test-node`"
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def keep_those_of_this_guest(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the hook is in the kernel, no module can be put in, be refused or be taken out."""
    unwanted = {"built_in" if attached.STOCK else "module"}
    if attached.KERNEL != NEWEST:
        unwanted.add("compiles")
    two_nodes = SECOND_NODE.exists()
    others = [
        item
        for item in items
        if any(map(item.get_closest_marker, unwanted)) or bool(item.get_closest_marker("numa")) != two_nodes
    ]
    config.hook.pytest_deselected(items=others)
    kept = [item for item in items if item not in others]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("ends_the_guest") is not None)


@pytest.fixture(autouse=True)
def more_time() -> Iterator[Callable[[], None]]:
    """The deadline; a test of many steps sets it anew for each of them."""

    def too_late(*_: object) -> None:
        raise TimeoutError(f"no end after {SECONDS_PER_TEST} s")

    def start() -> None:
        signal.alarm(SECONDS_PER_TEST)

    signal.signal(signal.SIGALRM, too_late)
    start()
    yield start
    signal.alarm(0)


class Pod:
    """A pod's cgroup with a limit, a hog per container, and a trigger without an entry (host priority)."""

    def __init__(self, node: Node, limit_mib: int) -> None:
        self.node = node
        self.cgroup = node.cgroup("pod", memory__max=limit_mib << 20)
        self.hogs: list[Hog] = []

    def hog(self, name: str, mib: int, **options: Any) -> Hog:  # noqa: ANN401 (what Hog takes)
        hog = self.node.hog(self.cgroup.child(name), mib, **options)
        self.hogs.append(hog)
        return hog

    def run_out_of_memory(self) -> list[Hog]:
        """All that died, in the kernel's order."""
        trigger = self.node.hog(self.cgroup.child("trigger"), 0)
        dead = run_out_of_memory(trigger, self.hogs)
        trigger.end()
        self.hogs = [hog for hog in self.hogs if hog not in dead]
        return dead

    def first_victim(self) -> Hog:
        return self.run_out_of_memory()[0]


@pytest.fixture
def node() -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(stack)


@pytest.fixture
def pod(node: Node) -> Pod:
    """64 MiB: room for 12 and 34, and not for the 24 that the trigger takes next."""
    return Pod(node, 64)


@pytest.fixture
def policy() -> Iterator[Policy]:
    """Attached, without entries. Attaching takes seconds under emulation, so it is done when it is not so yet."""
    if not attached.is_attached():
        attached.attach()
    policy = attached.Policy()
    policy.clear()
    policy.set_mode(KernelMode.ENFORCE)
    yield policy
    policy.close()


@pytest.fixture
def bare() -> Iterator[None]:
    """A node before any loader ran, and after."""
    attached.detach()
    yield
    attached.detach()


@pytest.fixture
def other_objects(tmp_path: Path) -> Path:
    """The same programs in an object of another hash: a new version."""
    objects = tmp_path / "objects"
    shutil.copytree(attached.BUILD / "bpf", objects)
    for path in objects.glob("*.o"):
        path.write_bytes(path.read_bytes() + b"\0")
    return objects


@pytest.fixture(scope="session", autouse=True)
def _started() -> None:
    print(f"kernel {os.uname().release}, up {time.clock_gettime(time.CLOCK_BOOTTIME):.0f} s")
