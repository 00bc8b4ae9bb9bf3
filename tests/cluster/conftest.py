# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the cluster tests.

cluster          a `Cluster`, emptied after the test: `url`, `ca`, `admin` (kubeconfig), `api_as(kubeconfig)`,
                 `kubectl_as(kubeconfig)`, `kubeconfig(namespace, account, pod)` for any service account,
                 `stop_api()`, `start_api()`, `restart_api()`, `api_with(*flags)`, `expire_watches()` for 410
newer_definition `newer_definition()` applies a definition of OOMPolicy with a field `spec.newField` that has a default
undefined_settings  the definition of OOMSettings does not exist during the test
api              `cluster.api`: `create`, `get`, `list`, `patch`, `delete` any object, and `node`, `namespace`, `pod`,
                 `run` (a pod's status), `token`
kubectl          `kubectl("get", "oomp")` returns its output, or raises `KubectlError` with its message
deployment       the same cluster with `deploy/` applied: `operator_kubeconfig()`, `agent_kubeconfig(node)`
operator         an `Operator` process that leads and has read all objects. `start_operator(name)` starts one, or
                 several, without waiting, and with its own flags. All have the account of `deploy/`
session_cluster  the same cluster without the emptying, for tests that leave nothing in it

There is one cluster for the session. "Emptied" means that policies, nodes, namespaces, pods and Events of one test do
not exist in the next, but the objects of `deploy/` stay. A test may leave the API server stopped.
`eventually(read, wanted)` in `waiting` waits for an effect in the cluster. The parameters of `objects.pod` are the
fields that a pod can be given. There is no scheduler, so a pod stays on the node that it was created with, and no
kubelet, so a pod has the status that `api.run` writes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.cluster.binaries import Binaries, ensure_binaries
from tests.cluster.cleanup import clean_up
from tests.cluster.cluster import Cluster, running_cluster
from tests.cluster.definition import NewerDefinition, settings_are_served
from tests.cluster.deployment import Deployment
from tests.cluster.needed import ensured
from tests.cluster.operators import Operator
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl

    Newer = Callable[[], None]


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """Return the programs. Without the tools to build them, a developer's tests are skipped, and CI fails."""
    return ensured(ensure_binaries, "no API server to test against")


@pytest.fixture(scope="session")
def session_cluster(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(binaries, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(session_cluster: Cluster) -> Iterator[Cluster]:
    yield session_cluster
    if not session_cluster.apiserver.running:
        session_cluster.start_api()
    clean_up(session_cluster.api)


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return cluster.api


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return cluster.kubectl


@pytest.fixture
def newer_definition(api: Api) -> Iterator[Newer]:
    definition = NewerDefinition(api)
    yield definition.apply
    definition.remove()


@pytest.fixture(scope="session")
def session_deployment(session_cluster: Cluster) -> Deployment:
    deployment = Deployment(session_cluster)
    deployment.apply()
    return deployment


@pytest.fixture
def deployment(cluster: Cluster, session_deployment: Deployment) -> Deployment:  # noqa: ARG001 - emptied after the test
    return session_deployment


@pytest.fixture
def start_operator(deployment: Deployment, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    kubeconfig = deployment.operator_kubeconfig()
    started: list[Operator] = []
    with ExitStack() as stack:

        def start(identity: str, *flags: str) -> Operator:
            port = stack.enter_context(reserved_port())
            started.append(Operator(kubeconfig, identity, port, tmp_path, flags=flags))
            return started[-1]

        yield start
        for each in started:
            each.kill()
            print(f"{each.identity}'s log:", each.log.read_text(), sep="\n")  # shown with a failure


@pytest.fixture
def operator(start_operator: Callable[[str], Operator]) -> Operator:
    made = start_operator("operator")
    made.until_leading()
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the servers' logs with a failure only."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("session_cluster")
    if report.failed and cluster is not None:
        for server in (cluster.etcd, cluster.apiserver):
            report.sections.append((f"{server.name}'s log", server.tail()))
    return report


@pytest.fixture
def undefined_settings(cluster: Cluster) -> Iterator[None]:
    """Delete the definition of OOMSettings for the time of a test."""
    api = cluster.api
    api.delete("CustomResourceDefinition", "oomsettings.oompolicy.dev")
    eventually(lambda: settings_are_served(api), lambda served: not served)
    yield
    cluster.install_crds()
    eventually(lambda: settings_are_served(api), bool)
