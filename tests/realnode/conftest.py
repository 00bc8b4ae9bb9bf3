# SPDX-License-Identifier: Apache-2.0
"""One cluster with one node for the session. The chart is installed on it as docs/install.md says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.conftest import binaries  # noqa: F401 (a fixture)
from tests.endtoend.eventlog import EventLog
from tests.realnode.realcluster import real_cluster
from tests.realnode.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.cluster.binaries import Binaries
    from tests.realnode.realcluster import RealCluster

DEADLINE = 2400.0
"""Seconds for the guest: several times the time of all tests under emulation."""


@pytest.fixture(scope="session")
def node(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:  # noqa: F811
    """Yield a cluster without oompolicy."""
    with real_cluster(binaries, tmp_path_factory.mktemp("realnode"), DEADLINE) as found:
        yield found


@pytest.fixture(scope="session")
def events(node: RealCluster) -> Iterator[EventLog]:
    """Yield a log that starts before the first kill."""
    log = EventLog(node.api.connection)
    log.start()
    yield log
    log.stop()


@pytest.fixture(scope="session")
def installed(node: RealCluster) -> RealCluster:
    started = time.monotonic()
    node.install()
    print(f"helm install to Ready: {time.monotonic() - started:.0f} s")
    return node


@pytest.fixture(scope="session")
def stage(installed: RealCluster, events: EventLog) -> Stage:
    """Return the demo's policies, and a pod of each QoS class with a priority that is the opposite of its class."""
    stage = Stage(installed, events)
    stage.set_up()
    return stage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of all programs to the report of a failure."""
    report = yield
    found: RealCluster | None = getattr(item, "funcargs", {}).get("node")
    if report.failed and found is not None:
        report.sections += found.logs().items()
    return report
