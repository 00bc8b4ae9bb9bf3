# SPDX-License-Identifier: Apache-2.0
"""A Lease is free when it was released, or has not changed for as long as it lasts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oompolicy.controller.lease import Observed, observe, released, renewed, taken

NOW = datetime(2026, 11, 25, 12, 0, 0, 5, tzinfo=UTC)
TIME = "2026-11-25T12:00:00.000005Z"


def lease(holder: str = "other", renew_time: str = "t1", **metadata: str) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renew_time, "leaseTransitions": 4}
    return {"metadata": {"name": "l", **metadata}, "spec": spec}


def test_a_held_lease_is_free_when_nobody_has_renewed_it_for_as_long_as_it_lasts() -> None:
    """By our own clock, from when we saw it first."""
    seen = observe(lease(), None, 100)

    assert [False, False, True] == [seen.free(now) for now in (100, 114.9, 115)]


def test_a_renewed_lease_lasts_from_when_that_was_seen() -> None:
    """Whatever its holder's clock says."""
    seen = observe(lease(renew_time="t2"), observe(lease(), None, 100), 110)

    assert (110, False) == (seen.since, seen.free(120))


def test_a_new_label_does_not_renew_a_lease() -> None:
    """Only its holder does, by the spec."""
    seen = observe(lease(resourceVersion="2"), observe(lease(resourceVersion="1"), None, 100), 110)

    assert (100, "2") == (seen.since, seen.raw["metadata"]["resourceVersion"])


def test_a_released_lease_is_free_at_once() -> None:
    """As is one that nobody has ever held."""
    assert Observed(lease(holder=""), 100).free(100)
    assert Observed({"metadata": {}}, 100).free(100)


def test_taking_counts_a_transition() -> None:
    """A new Lease begins without one."""
    expected = {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": TIME,
        "renewTime": TIME,
        "leaseTransitions": 5,
    }

    assert expected == taken(lease()["spec"], "me", 15.0, NOW)
    assert {**expected, "leaseTransitions": 0} == taken({}, "me", 15.0, NOW)


def test_keeping_and_releasing_change_what_they_must() -> None:
    """A released Lease has no holder, and lasts no time."""
    spec = lease()["spec"]

    assert {**spec, "renewTime": TIME} == renewed(spec, NOW)
    assert {**spec, "renewTime": TIME, "holderIdentity": "", "leaseDurationSeconds": 1} == released(spec, NOW)
