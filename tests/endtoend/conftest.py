# SPDX-License-Identifier: Apache-2.0
"""One cluster and one guest for the session. Each test has a `scene` of its own on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.cluster import running_cluster
from tests.cluster.conftest import binaries  # noqa: F401 (a fixture)
from tests.endtoend.guest import booted
from tests.endtoend.installation import installation
from tests.endtoend.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.cluster.binaries import Binaries
    from tests.endtoend.installation import Installation

DEADLINE = 1500.0
"""Seconds for the guest: several times the time of all tests under emulation."""


@pytest.fixture(scope="session")
def installed(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:  # noqa: F811
    folder = tmp_path_factory.mktemp("endtoend")
    (folder / "cluster").mkdir()
    with (
        booted(folder, DEADLINE) as guest,
        running_cluster(binaries, folder / "cluster") as cluster,
        installation(cluster, guest, folder) as found,
    ):
        found.install()
        yield found


@pytest.fixture
def scene(installed: Installation) -> Iterator[Scene]:
    scene = Scene(installed)
    yield scene
    scene.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of agent, operator and guest to the report of a failure."""
    report = yield
    found: Installation | None = getattr(item, "funcargs", {}).get("installed")
    if report.failed and found is not None:
        report.sections += found.logs().items()
    return report
