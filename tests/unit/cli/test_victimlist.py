# SPDX-License-Identifier: Apache-2.0
"""`victims` merges Events and OOMNodes, so that each victim is listed once with all that is known."""

from datetime import UTC, datetime
from typing import Any

import pytest

from oompolicy.cli.victimlist import name_of, plain, table, victims
from oompolicy_agent.mapping.owners import Owner
from oompolicy_agent.victims.event import event as made_event
from oompolicy_agent.victims.naming import HOST, NamedVictim
from tests.unit.agent.victims.test_event import APP_OWNER, named

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOTE = (
    "Kernel OOM killer killed stress (pid 4711, anon-rss 98 MiB) in container app of pod shop/web-0: "
    "scope Kubepods: the pods together reached the limit of /kubepods.slice; priority 200 from OOMPolicy batch "
    "(precedence 50): value 200; trigger: its own allocation"
)


def time(minute: int) -> str:
    return f"2026-11-28T11:{minute:02}:00.123456Z"


def event(minute: int, **fields: object) -> dict[str, Any]:
    pod = {"kind": "Pod", "namespace": "shop", "name": "web-0", "fieldPath": "spec.containers{app}"}
    made = {"eventTime": time(minute), "reportingInstance": "node-a", "regarding": pod, "note": NOTE}
    return {**made, "related": {"kind": "OOMPolicy", "name": "batch"}, **fields}


def oomnode(*minutes: int) -> dict[str, Any]:
    victim = {"namespace": "shop", "pod": "web-0", "container": "app", "process": "stress", "pid": 4711}
    rest = {"priority": 200, "policy": "batch", "scope": "Kubepods"}
    found = [{"time": time(minute), **victim, **rest} for minute in minutes]
    return {"metadata": {"name": "node-a"}, "status": {"lastVictims": found}}


def test_an_event_alone_gives_all_columns() -> None:
    """The agent writes process, pid, scope and priority into the message of the Event only."""
    (found,) = victims([event(50)], [])

    assert ("stress", 4711, 200, "Kubepods", "batch", "app") == (
        *(found.process, found.pid, found.priority),
        *(found.scope, found.policy, found.container),
    )


def test_an_event_from_the_kernels_log_may_have_no_priority() -> None:
    """The kernel logs the cgroup of only some victims."""
    note = (
        "Kernel OOM killer killed stress (pid 4711, anon-rss 98 MiB) in a cgroup that the kernel's log does not name: "
        "scope unknown: the kernel logs it for at most 10 OOMs in 5 seconds; priority unknown; source: the kernel's log"
    )
    (found,) = victims([event(50, note=note, regarding={"kind": "Node"}, related=None)], [])

    assert ("stress", 4711, "Unknown", None, None) == (
        *(found.process, found.pid, found.scope),
        *(found.priority, found.pod),
    )


def test_an_event_and_an_oomnode_are_one_victim() -> None:
    """The time of a kill has microseconds, so it identifies a victim of a node."""
    (found,) = victims([event(50)], [oomnode(50)])

    assert (NOTE, 1) == (found.message, found.count)
    assert found == victims([event(50)], [])[0]


def test_victims_without_an_event_are_listed_and_the_last_one_is_at_the_end() -> None:
    """Events expire before the OOMNode forgets a victim."""
    found = victims([event(50)], [oomnode(30, 50, 55)])

    assert [30, 50, 55] == [each.time.minute for each in found]
    assert [None, NOTE, None] == [each.message for each in found]


def test_a_victim_that_a_series_counts_is_not_listed_again() -> None:
    """The Event has the time of the first victim, and the OOMNode has the times of all."""
    series = {"count": 3, "lastObservedTime": time(52)}
    found = victims([event(50, series=series)], [oomnode(50, 51, 52, 53)])

    assert [(50, 52, 3), (53, 53, 1)] == [(each.time.minute, each.last.minute, each.count) for each in found]


def test_a_process_of_the_host_has_no_pod() -> None:
    """The Event is about the Node."""
    host = {"kind": "Node", "name": "node-a"}
    (found,) = victims([event(50, regarding=host, related=None, note="of another form")], [])

    assert (None, None, None, None) == (found.namespace, found.pod, found.container, found.priority)
    assert "node/node-a" == name_of(found)
    row = ("9m59s", "node-a", "-", "-", "-", "-", "-", "-", "-", "1", "of another form")
    assert [row] == table([found], NOW, wide=True).rows


def test_an_event_of_another_program_is_left_out() -> None:
    """Another program may use the reason too, in an Event of the older form."""
    assert [] == victims([{"reason": "OOMVictimKilled", "eventTime": None}], [])


def test_data_has_times_that_programs_read() -> None:
    """The times have a zone and microseconds."""
    (found,) = victims([event(50)], [])

    assert "2026-11-28T11:50:00.123456+00:00" == plain(found)["time"]
    assert "pod/shop/web-0" == name_of(found)


@pytest.mark.parametrize("owner", [APP_OWNER, HOST])
@pytest.mark.parametrize("scope", ["Container", "Pod", "Kubepods", "Node", "Other", "Unknown"])
def test_the_notes_of_the_agent_are_read(owner: Owner, scope: str) -> None:
    """The agent and this program write and read one form. A process may have any name."""
    victim: NamedVictim = named(owner, scope, "/kubepods.slice", victim_comm=b"a: (pid 1, b")  # type: ignore[arg-type]
    (found,) = victims([made_event(victim, "node-a", 0, disclose=True)], [])

    assert (victim.victim.tgid, victim.victim.priority, scope) == (found.pid, found.priority, found.scope)
    assert "a: (pid 1, b" == found.process
