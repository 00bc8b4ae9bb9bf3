# SPDX-License-Identifier: Apache-2.0
"""An agent is silent if its heartbeat does not change, or if its node has booted since."""

from __future__ import annotations

import pytest

from oompolicy.controller.heartbeats import Heartbeat, Heartbeats, SilentReason

AFTER = 600.0
SILENT = {"n1": SilentReason.AGENT_SILENT}
REBOOTED = {"n1": SilentReason.NODE_REBOOTED}


@pytest.fixture
def heartbeats() -> Heartbeats:
    made = Heartbeats(AFTER)
    made.node("n1", "b1")
    made.oomnode("n1", Heartbeat("2026-11-28T05:00:00Z", "b1"))
    return made


def test_an_agent_is_silent_after_the_time_without_a_change(heartbeats: Heartbeats) -> None:
    """The time counts from the change that was received, also if the same heartbeat is received again."""
    heartbeats.listen(300)
    heartbeats.oomnode("n1", Heartbeat("2026-11-28T05:00:00Z", "b1"))
    assert 300 == heartbeats.next
    heartbeats.listen(299)
    assert {} == heartbeats.silent
    heartbeats.listen(1)

    assert SILENT == heartbeats.silent
    assert float("inf") == heartbeats.next


@pytest.mark.parametrize("time", ["2026-11-28T05:05:00Z", "1970-01-01T00:00:00Z", "2400-01-01T00:00:00Z"])
def test_any_change_is_a_sign_of_life(heartbeats: Heartbeats, time: str) -> None:
    """The clock of the node may be wrong, and may be set back."""
    heartbeats.listen(AFTER)
    heartbeats.oomnode("n1", Heartbeat(time, "b1"))
    assert {} == heartbeats.silent
    heartbeats.listen(AFTER - 1)
    assert {} == heartbeats.silent
    heartbeats.listen(1)

    assert SILENT == heartbeats.silent


def test_a_heartbeat_in_the_future_does_not_delay_the_silence() -> None:
    """If the clock of the node is ahead, its agent is silent as early as any other."""
    heartbeats = Heartbeats(AFTER)
    heartbeats.oomnode("n1", Heartbeat("2400-01-01T00:00:00Z", "b1"))
    heartbeats.listen(AFTER)

    assert SILENT == heartbeats.silent


def test_the_first_heartbeat_may_be_of_any_age() -> None:
    """After a restart of the operator an old time is no proof of silence."""
    heartbeats = Heartbeats(AFTER)
    heartbeats.oomnode("n1", Heartbeat("1970-01-01T00:00:00Z", "b1"))

    assert {} == heartbeats.silent
    assert AFTER == heartbeats.next


def test_the_longest_silent_agent_is_next(heartbeats: Heartbeats) -> None:
    """Agents report in any order."""
    heartbeats.listen(100)
    heartbeats.oomnode("n2", Heartbeat("a", "b"))
    heartbeats.listen(100)
    heartbeats.oomnode("n1", Heartbeat("b", "b1"))
    assert 500 == heartbeats.next
    heartbeats.listen(500)
    assert {"n2"} == set(heartbeats.silent)
    assert 100 == heartbeats.next
    heartbeats.listen(1000)

    assert {"n1", "n2"} == set(heartbeats.silent)


def test_an_agent_without_heartbeats_is_never_silent() -> None:
    """A living agent of an earlier version writes nothing while nothing changes."""
    heartbeats = Heartbeats(AFTER)
    heartbeats.oomnode("n1", Heartbeat())
    heartbeats.node("n1", "b2")
    heartbeats.listen(2 * AFTER)

    assert {} == heartbeats.silent


def test_an_agent_that_was_rolled_back_is_not_silent(heartbeats: Heartbeats) -> None:
    """Its version takes the heartbeat out of the OOMNode."""
    heartbeats.listen(AFTER)
    heartbeats.oomnode("n1", Heartbeat())
    heartbeats.listen(AFTER)

    assert {} == heartbeats.silent


def test_a_boot_of_the_node_makes_the_agent_silent_at_once(heartbeats: Heartbeats) -> None:
    """The agent reports for the boot before. Its next heartbeat ends that."""
    heartbeats.node("n1", "b2")
    assert REBOOTED == heartbeats.silent
    heartbeats.oomnode("n1", Heartbeat("later", "b2"))

    assert {} == heartbeats.silent


def test_a_reboot_is_the_reason_also_for_an_agent_that_was_silent_before(heartbeats: Heartbeats) -> None:
    """A node that breaks down is silent first, and reboots later."""
    heartbeats.listen(AFTER)
    heartbeats.node("n1", "b2")
    assert REBOOTED == heartbeats.silent
    heartbeats.listen(AFTER)

    assert REBOOTED == heartbeats.silent


def test_an_agent_may_report_the_boot_before_its_kubelet(heartbeats: Heartbeats) -> None:
    """Then the Node has the id of the boot before for some seconds, and reports it again."""
    heartbeats.oomnode("n1", Heartbeat("later", "b2"))
    heartbeats.node("n1", "b1")
    assert {} == heartbeats.silent
    heartbeats.node("n1", "b2")

    assert {} == heartbeats.silent


@pytest.mark.parametrize("first", ["node", "oomnode"])
def test_a_boot_that_is_found_at_the_first_list_counts(first: str) -> None:
    """The node may have rebooted while no operator ran. Lists arrive in any order."""
    heartbeats = Heartbeats(AFTER)
    if first == "node":
        heartbeats.node("n1", "b2")
    heartbeats.oomnode("n1", Heartbeat("a", "b1"))
    heartbeats.node("n1", "b2")
    assert REBOOTED == heartbeats.silent
    heartbeats.oomnode("n1", Heartbeat("b", "b1"))

    assert {} == heartbeats.silent


def test_a_node_without_boot_id_has_not_rebooted(heartbeats: Heartbeats) -> None:
    """A kubelet reports the id after it has registered the Node."""
    heartbeats.node("n1", "")

    assert {} == heartbeats.silent


def test_an_oomnode_that_is_deleted_is_forgotten(heartbeats: Heartbeats) -> None:
    """The OOMNode that is created in its place has no report."""
    heartbeats.node("n1", "b2")
    heartbeats.listen(AFTER)
    heartbeats.oomnode_deleted("n1")
    assert {} == heartbeats.silent
    heartbeats.oomnode("n1", Heartbeat())

    assert {} == heartbeats.silent


def test_a_node_that_is_deleted_has_not_rebooted(heartbeats: Heartbeats) -> None:
    """Its OOMNode is deleted with it."""
    heartbeats.node("n1", "b2")
    heartbeats.node_deleted("n1")

    assert {} == heartbeats.silent


def test_a_change_of_the_silent_agents_is_reported_once(heartbeats: Heartbeats) -> None:
    """A heartbeat of a living agent is no change."""
    assert not heartbeats.changed()
    heartbeats.oomnode("n1", Heartbeat("b", "b1"))
    assert not heartbeats.changed()
    heartbeats.listen(AFTER)
    assert heartbeats.changed()
    assert not heartbeats.changed()
    heartbeats.oomnode("n1", Heartbeat("c", "b1"))

    assert heartbeats.changed()
