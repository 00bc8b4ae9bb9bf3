# SPDX-License-Identifier: Apache-2.0
"""One of two operators is active, and the other takes over.

The tests print the times, and check the limits that the documentation states.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.cluster.deployment import NAMESPACE
from tests.cluster.test_operator_policies import labelled, policy, status, wait_for_matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.api import Api
    from tests.cluster.operators import Operator

    Start = Callable[[str], Operator]

LEASE_SECONDS = 15
LEASE = "oompolicy-operator"


def pair(start: Start) -> tuple[Operator, Operator]:
    """Start two operators, and return the active one and the standby."""
    active = start("one")
    active.until_leading()
    standby = start("two")
    standby.until_standby()
    assert 0 == standby.metric("oompolicy_operator_leader")
    return active, standby


def holder(api: Api) -> str:
    return str(api.get("Lease", LEASE, NAMESPACE)["spec"]["holderIdentity"])


def test_the_standby_takes_over_at_once_from_an_operator_that_is_terminated(api: Api, start_operator: Start) -> None:
    """The operator releases the Lease, so the standby does not wait until it expires."""
    active, standby = pair(start_operator)
    status, took = active.terminate()
    ended = time.monotonic()
    standby.until_leading()

    print(f"ended {took:.1f} s after SIGTERM, the other led {time.monotonic() - ended:.1f} s after that")
    assert 0 == status
    assert "two" == holder(api)
    # The time includes the standby's next read of the Lease, and its first lists.
    assert time.monotonic() - ended < LEASE_SECONDS / 2


def test_the_standby_takes_over_from_an_operator_that_is_killed(api: Api, start_operator: Start) -> None:
    """The standby waits until the Lease has expired, and then has the policies from before and from meanwhile."""
    active, standby = pair(start_operator)
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("before", labelled(app="db")))
    wait_for_matches(api, "before", 1)
    active.kill()
    killed = time.monotonic()
    api.create(policy("meanwhile", labelled(app="db"), precedence=5))
    standby.until_leading()
    took = time.monotonic() - killed

    print(f"the other led {took:.1f} s after SIGKILL")
    assert "two" == holder(api)
    assert took < LEASE_SECONDS * 2
    wait_for_matches(api, "meanwhile", 1)
    assert 1 == status(api, "before")["matchedPods"]


def test_the_end_of_a_standby_does_not_affect_the_active_operator(api: Api, start_operator: Start) -> None:
    """The standby does not hold the Lease, and so does not release it."""
    active, standby = pair(start_operator)

    assert 0 == standby.terminate()[0]
    assert "one" == holder(api)
    assert active.leads


def test_an_operator_that_loses_its_lease_ends(api: Api, start_operator: Start) -> None:
    """The status is that of a failure, so that the kubelet restarts it. Two operators must not write for long."""
    operator = start_operator("one")
    operator.until_leading()
    api.patch("Lease", LEASE, {"spec": {"holderIdentity": "somebody"}}, namespace=NAMESPACE)

    assert 1 == operator.process.wait(15)
    assert "ended: the Lease is held by somebody" in operator.log.read_text()
