# SPDX-License-Identifier: Apache-2.0
"""The operator misses no change if the API server stops, restarts, or answers 410 to its watches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.cluster.test_operator_policies import labelled, policy, wait_for_matches
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.operators import Operator


def matched(operator: Operator, name: str) -> float | None:
    return operator.metric("oompolicy_policy_matched_pods", policy=name)


def test_the_operator_forgets_objects_that_were_deleted_before_its_watches_expired(
    cluster: Cluster, api: Api, operator: Operator
) -> None:
    """A pod and a policy are deleted and another is created, without events for it: the watches resume with 410."""
    api.pod("default", "a", labels={"app": "db"})
    api.pod("default", "b", labels={"app": "db"})
    api.create(policy("stays", labelled(app="db")))
    api.create(policy("goes", labelled(app="db"), precedence=5))
    wait_for_matches(api, "goes", 2)
    operator.pause()
    # Without a restart, the operator's sockets would still have the events.
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


def test_the_operator_continues_after_a_restart_of_the_api_server(
    cluster: Cluster, api: Api, operator: Operator
) -> None:
    """The operator reports the outage, continues by itself, and counts the changes after the restart."""
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("p", labelled(app="db")))
    wait_for_matches(api, "p", 1)
    cluster.stop_api()
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 503 and "no answer from" in answer[1])
    assert 1 == operator.metric("oompolicy_operator_watch_failing", collection="pods")
    cluster.start_api()
    api.pod("default", "b", labels={"app": "db"})
    api.create(policy("q", labelled(app="db"), precedence=5))

    wait_for_matches(api, "q", 2)
    eventually(lambda: operator.leads, bool)
    assert (2, 0) == (matched(operator, "p"), operator.metric("oompolicy_operator_watch_failing", collection="pods"))


@pytest.fixture
def definition(cluster: Cluster) -> Iterator[str]:
    """Yield the name of the definition of OOMPolicy, and restore it for the next test."""
    yield "oompolicies.oompolicy.dev"
    cluster.install_crds()


def test_the_operator_continues_after_the_definition_of_policies_was_deleted(
    cluster: Cluster, api: Api, operator: Operator, definition: str
) -> None:
    """The operator is not ready without the definition, and says why. With a new one, it gets policies at once."""
    api.create(policy("before"))
    wait_for_matches(api, "before", 0)
    api.delete("CustomResourceDefinition", definition)
    # The API server may serve the policies once more before they are gone. After this sentence it does not.
    eventually(operator.log.read_text, lambda text: "OOMPolicy is not defined: apply crds/" in text)
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 503 and "oompolicies" in answer[1])
    assert 1 == operator.metric("oompolicy_operator_watch_failing", collection="policies")
    cluster.install_crds()
    eventually(lambda: operator.probe("/readyz"), lambda answer: answer[0] == 200, deadline=60)
    eventually(partial(matched, operator, "before"), lambda number: number is None)
    # The watch reports each policy within a second, and not only the list of every five minutes.
    for name in ("first", "second"):
        api.create(policy(name))
        eventually(partial(matched, operator, name), lambda number: number == 0, deadline=10)

    assert operator.process.poll() is None
