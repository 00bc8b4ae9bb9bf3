# SPDX-License-Identifier: Apache-2.0
"""Of two operators one is active, and the other takes over; the times are printed, and bounded by what the docs say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.cluster.deployment import NAMESPACE
from tests.cluster.test_operator_policies import labelled, matches, policy, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.api import Api
    from tests.cluster.operators import Operator

    Start = Callable[[str], Operator]

LEASE_SECONDS = 15
LEASE = "oompolicy-operator"


def pair(start: Start) -> tuple[Operator, Operator]:
    """The active one, and the one on standby."""
    active = start("one")
    active.until_leading()
    standby = start("two")
    standby.until_standby()
    assert 0 == standby.metric("oompolicy_operator_leader")
    return active, standby


def holder(api: Api) -> str:
    return str(api.get("Lease", LEASE, NAMESPACE)["spec"]["holderIdentity"])


def test_the_standby_takes_over_at_once_from_one_that_is_told_to_end(api: Api, start_operator: Start) -> None:
    """The Lease is released, so a rollout leaves no gap of its duration."""
    active, standby = pair(start_operator)
    status, took = active.terminate()
    ended = time.monotonic()
    standby.until_leading()

    print(f"ended {took:.1f} s after SIGTERM; the other led {time.monotonic() - ended:.1f} s after that")
    assert 0 == status
    assert "two" == holder(api)
    # Its next look at the Lease, and the first lists.
    assert time.monotonic() - ended < LEASE_SECONDS / 2


def test_the_standby_takes_over_from_one_that_is_killed(api: Api, start_operator: Start) -> None:
    """When the Lease has expired; a policy that was applied meanwhile is seen then, and none is lost."""
    active, standby = pair(start_operator)
    api.pod("default", "a", labels={"app": "db"})
    api.create(policy("before", labelled(app="db")))
    matches(api, "before", 1)
    active.kill()
    killed = time.monotonic()
    api.create(policy("meanwhile", labelled(app="db"), precedence=5))
    standby.until_leading()
    took = time.monotonic() - killed

    print(f"the other led {took:.1f} s after SIGKILL")
    assert "two" == holder(api)
    assert took < LEASE_SECONDS * 2
    matches(api, "meanwhile", 1)
    assert 1 == status(api, "before")["matchedPods"]


def test_a_standby_that_is_told_to_end_leaves_the_active_one_alone(api: Api, start_operator: Start) -> None:
    """It holds nothing that it could give back."""
    active, standby = pair(start_operator)

    assert 0 == standby.terminate()[0]
    assert "one" == holder(api)
    assert active.leads


def test_one_whose_lease_was_taken_ends(api: Api, start_operator: Start) -> None:
    """With a failure, so that it is started anew; two must not write at the same time for long."""
    operator = start_operator("one")
    operator.until_leading()
    api.patch("Lease", LEASE, {"spec": {"holderIdentity": "somebody"}}, namespace=NAMESPACE)

    assert 1 == operator.process.wait(15)
    assert "ended: the Lease is held by somebody" in operator.log.read_text()
