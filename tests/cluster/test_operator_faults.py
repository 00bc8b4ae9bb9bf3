# SPDX-License-Identifier: Apache-2.0
"""The API server goes away, comes back, and has forgotten what was watched: nothing is missed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.cluster.test_operator_policies import labelled, matches, policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.operators import Operator


def matched(operator: Operator, name: str) -> float | None:
    return operator.metric("oompolicy_policy_matched_pods", policy=name)


def test_what_went_while_watches_expired_is_gone(cluster: Cluster, api: Api, operator: Operator) -> None:
    """A pod and a policy are deleted, others come, and no event ever says so: the watches resume with 410."""
    api.pod("default", "a", labels={"app": "db"})
    api.pod("default", "b", labels={"app": "db"})
    api.create(policy("stays", labelled(app="db")))
    api.create(policy("goes", labelled(app="db"), precedence=5))
    matches(api, "goes", 2)
    operator.pause()
    # Or the events would stand in the operator's sockets, whoever is at their other ends later.
    cluster.restart_api()
    api.delete("Pod", "a", "default")
    api.delete("OOMPolicy", "goes")
    api.create(policy("comes", labelled(app="db"), precedence=7))
    cluster.expire_watches()
    operator.resume()

    eventually(lambda: matched(operator, "comes"), lambda number: number == 1)
    eventually(lambda: matched(operator, "goes"), lambda number: number is None)
    eventually(lambda: matched(operator, "stays"), lambda number: number == 1)
    assert operator.process.poll() is None


def test_the_operator_outlives_a_restart_of_the_api_server(cluster: Cluster, api: Api, operator: Operator) -> None:
    """It says what is the matter, goes on by itself, and what changes then is counted."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("p", labelled(app="db")))
    matches(api, "p", 1)
    cluster.stop_api()
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 503 and "no answer from" in answer[1])
    assert 1 == operator.metric("oompolicy_operator_watch_failing", collection="pods")
    cluster.start_api()
    api.pod("default", "b", labels={"app": "db"})
    api.create(policy("q", labelled(app="db"), precedence=5))

    matches(api, "q", 2)
    eventually(lambda: operator.leads, bool)
    assert (2, 0) == (matched(operator, "p"), operator.metric("oompolicy_operator_watch_failing", collection="pods"))


@pytest.fixture
def definition(cluster: Cluster) -> Iterator[str]:
    """The name of that of OOMPolicy, which is there again for the next test."""
    yield "oompolicies.oompolicy.dev"
    cluster.install_crds()


def test_the_operator_outlives_the_definition_of_its_policies(
    cluster: Cluster, api: Api, operator: Operator, definition: str
) -> None:
    """While it is gone, the operator is not ready and says why; policies of a new one are seen at once."""
    api.create(policy("before"))
    matches(api, "before", 0)
    api.delete("CustomResourceDefinition", definition)
    # The API server may serve it once more before it is gone; from this sentence on it does not.
    eventually(operator.log.read_text, lambda text: "OOMPolicy is not defined: apply crds/" in text)
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 503 and "oompolicies" in answer[1])
    assert 1 == operator.metric("oompolicy_operator_watch_failing", collection="policies")
    cluster.install_crds()
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 200, deadline=60)
    eventually(partial(matched, operator, "before"), lambda number: number is None)
    # Not by the list of every five minutes: each is there within a second.
    for name in ("first", "second"):
        api.create(policy(name))
        eventually(partial(matched, operator, name), lambda number: number == 0, deadline=10)

    assert operator.process.poll() is None
