# SPDX-License-Identifier: Apache-2.0
"""The guest's cgroups, processes and attached policy. Each test has its own, and leaves nothing behind."""

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
from tests.node import in_process
from tests.node import policy as attached
from tests.node.hog import run_out_of_memory
from tests.node.machine import Node
from tests.node.running_adjuster import RunningAdjuster
from tests.node.running_agent import agent_in
from vmtest import earlier, foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.hog import Hog
    from tests.node.policy import Policy
    from tests.node.running_agent import RunningAgent

SECOND_GUEST = ("numa", "own_guest")
SECOND_NODE = Path("/sys/devices/system/node/node1")
WITHOUT_HOOK = ("trixie", *earlier.KERNELS, *foreign.KERNELS)
"""The kernels on which the adjuster is tested. It needs no hook, and its tests take minutes."""
USUAL = "trixie"
"""The kernel of `make test`."""
NEWEST = "trixie-backports"
"""The newest stock kernel. Its recipe for a module's BTF is the one that changed last."""

SECONDS_PER_TEST = 300
"""The deadline of a test. A scan that never ends is a bug that these tests can find. Under emulation the slowest test
takes a tenth of this time."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "OOMPOLICY_GUEST" in os.environ:
        keep_tests_for_this_guest(config, items)
        return
    reason = "these tests use up this machine's memory: run them in a guest, with `make test-node`"
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def keep_tests_for_this_guest(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests for another guest: a kernel with the hook built in cannot load, refuse or remove a module."""
    unwanted = {"built_in" if attached.STOCK else "module"}
    if attached.KERNEL != NEWEST:
        unwanted.add("compiles")
    if attached.KERNEL not in WITHOUT_HOOK:
        unwanted.add("scores")
    if attached.KERNEL != USUAL:
        unwanted.add("once")
    if attached.KERNEL == USUAL:
        unwanted.add("extremes")
    if attached.OWNERS_MAY_READ:
        unwanted.add("closed_maps")
    two_nodes = SECOND_NODE.exists()
    others = [
        item
        for item in items
        if any(map(item.get_closest_marker, unwanted)) or any(map(item.get_closest_marker, SECOND_GUEST)) != two_nodes
    ]
    config.hook.pytest_deselected(items=others)
    kept = [item for item in items if item not in others]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("ends_the_guest") is not None)


@pytest.fixture(autouse=True)
def restart_deadline() -> Iterator[Callable[[], None]]:
    """Set the deadline of a test. A test of many steps sets it again for each step."""

    def too_late(*_: object) -> None:
        raise TimeoutError(f"no end after {SECONDS_PER_TEST} s")

    def start() -> None:
        signal.alarm(SECONDS_PER_TEST)

    signal.signal(signal.SIGALRM, too_late)
    start()
    yield start
    signal.alarm(0)


class Pod:
    """A pod's cgroup with a limit, a hog for each container, and a trigger without an entry (host priority)."""

    def __init__(self, node: Node, limit_mib: int) -> None:
        self.node = node
        self.cgroup = node.cgroup("pod", memory__max=limit_mib << 20)
        self.hogs: list[Hog] = []

    def hog(self, name: str, mib: int, **options: Any) -> Hog:  # noqa: ANN401 (the options of Hog)
        hog = self.node.hog(self.cgroup.child(name), mib, **options)
        self.hogs.append(hog)
        return hog

    def run_out_of_memory(self) -> list[Hog]:
        """Return all processes that died, in the kernel's order."""
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
    """Return a pod with 64 MiB: room for 12 and 34, but not for the 24 that the trigger takes next."""
    return Pod(node, 64)


@pytest.fixture
def policy() -> Iterator[Policy]:
    """Yield the attached policy without entries. Attaching takes seconds under emulation, so the fixture keeps it."""
    if not attached.is_attached():
        in_process.attach()
    policy = attached.Policy()
    policy.clear()
    policy.set_mode(KernelMode.ENFORCE)
    yield policy
    policy.close()


@pytest.fixture
def agent(policy: Policy, tmp_path: Path) -> Iterator[RunningAgent]:
    """Yield an agent beside the attached policy, which the test starts."""
    assert policy
    with agent_in(tmp_path) as agent:
        yield agent


@pytest.fixture
def adjuster(tmp_path: Path) -> Iterator[RunningAdjuster]:
    """Yield an adjuster, which the test starts. Its log is printed at the end."""
    running = RunningAdjuster(tmp_path)
    yield running
    running.kill()
    print(running.log.read_text() if running.log.exists() else "")


@pytest.fixture
def bare() -> Iterator[None]:
    """Detach everything before the test and after it, as on a node on which no loader ran."""
    in_process.detach()
    yield
    in_process.detach()


@pytest.fixture
def other_objects(tmp_path: Path) -> Path:
    """Return a folder with the same programs in an object of another hash, which counts as a new version."""
    objects = tmp_path / "objects"
    shutil.copytree(attached.BUILD / "bpf", objects)
    for path in objects.glob("*.o"):
        path.write_bytes(path.read_bytes() + b"\0")
    return objects


@pytest.fixture(scope="session", autouse=True)
def _started() -> None:
    print(f"kernel {os.uname().release}, up {time.clock_gettime(time.CLOCK_BOOTTIME):.0f} s")
