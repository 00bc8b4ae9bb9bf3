# SPDX-License-Identifier: Apache-2.0
"""A Lease is free if it was released, or if its spec did not change for its own duration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oompolicy.controller.lease import Observed, observe, released, renewed, taken

NOW = datetime(2026, 11, 25, 12, 0, 0, 5, tzinfo=UTC)
TIME = "2026-11-25T12:00:00.000005Z"


def lease(holder: str = "other", renew_time: str = "t1", **metadata: str) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renew_time, "leaseTransitions": 4}
    return {"metadata": {"name": "l", **metadata}, "spec": spec}


def test_a_held_lease_is_free_after_its_duration_without_a_renewal() -> None:
    """The duration counts on the observer's own clock, from the first observation."""
    seen = observe(lease(), None, 100)

    assert [False, False, True] == [seen.free(now) for now in (100, 114.9, 115)]


def test_a_renewal_restarts_the_duration_at_its_observation() -> None:
    """The holder's clock has no influence."""
    seen = observe(lease(renew_time="t2"), observe(lease(), None, 100), 110)

    assert 110 == seen.since
    assert seen.free(120) is False


def test_a_new_label_does_not_renew_a_lease() -> None:
    """Only a change of the spec is a renewal."""
    seen = observe(lease(resourceVersion="2"), observe(lease(resourceVersion="1"), None, 100), 110)

    assert 100 == seen.since
    assert "2" == seen.raw["metadata"]["resourceVersion"]


def test_a_released_lease_is_free_at_once() -> None:
    """A Lease that never had a holder is free too."""
    assert Observed(lease(holder=""), 100).free(100)
    assert Observed({"metadata": {}}, 100).free(100)


def test_taking_a_lease_counts_a_transition() -> None:
    """A new Lease begins without transitions."""
    expected = {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": TIME,
        "renewTime": TIME,
        "leaseTransitions": 5,
    }

    assert expected == taken(lease()["spec"], "me", 15.0, NOW)
    assert {**expected, "leaseTransitions": 0} == taken({}, "me", 15.0, NOW)


def test_renewal_and_release_change_only_their_own_fields() -> None:
    """A released Lease has no holder, and the shortest duration."""
    spec = lease()["spec"]

    assert {**spec, "renewTime": TIME} == renewed(spec, NOW)
    assert {**spec, "renewTime": TIME, "holderIdentity": "", "leaseDurationSeconds": 1} == released(spec, NOW)
