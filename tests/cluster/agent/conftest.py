# SPDX-License-Identifier: Apache-2.0
"""A node with its OOMNode, as the operator makes it, and the agent of this node."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.cluster.agent.running import RunningAgent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.deployment import Deployment

NODE = "node-1"


@pytest.fixture
def agent(deployment: Deployment, cluster: Cluster, tmp_path: Path) -> Iterator[RunningAgent]:
    """Return the agent before its start, with attached programs and the token of its own pod."""
    # The OOMNode is first. A running operator creates the OOMNode of a Node that has none.
    cluster.api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": NODE}})
    cluster.api.node(NODE)
    with ExitStack() as stack:
        made = RunningAgent(cluster, tmp_path, NODE, deployment.agent_kubeconfig(NODE), stack)
        made.attach()
        yield made


@pytest.fixture
def new_token(agent: RunningAgent, deployment: Deployment, api: Api) -> Callable[[], None]:
    """Return a function that ends the agent's token and mounts another one."""

    def renew() -> None:
        (pod,) = api.list("Pod", "oompolicy-system")
        agent.mount_token(deployment.agent_kubeconfig(NODE))
        api.delete("Pod", pod["metadata"]["name"], "oompolicy-system")

    return renew


@pytest.fixture
def team(api: Api) -> str:
    """Create a namespace, and return its name."""
    api.namespace("team-a", {"tier": "prod"})
    return "team-a"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the agent's log with a failure."""
    report = yield
    agent = getattr(item, "funcargs", {}).get("agent")
    if report.failed and isinstance(agent, RunningAgent) and agent.log.exists():
        report.sections.append(("the agent's log", agent.log.read_text()[-8000:]))
    return report
