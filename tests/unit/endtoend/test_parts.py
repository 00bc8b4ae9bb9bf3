# SPDX-License-Identifier: Apache-2.0
"""These are the parts of the end-to-end tests that need neither cluster nor guest."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.cluster.story import DATABASE, REPORT, flaws
from oompolicy.manifests import load_manifests
from oompolicy.resolve import resolve
from tests.endtoend.eventlog import Seen
from tests.endtoend.measure import percentile
from tests.endtoend.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[3] / "examples/demo"
NOTE = (
    "Kernel OOM killer killed report (pid 7, anon-rss 9 MiB) in container report of pod batch/r: scope Node: the node "
    "ran out of memory; priority 100 from OOMPolicy batch (precedence 50): value 100; trigger: its own allocation; "
    "spared: postgres (pid 5) in container postgres of pod shop/postgres-0, priority 900"
)
ENFORCES = "the node does not say that it enforces"
OOMNODE = "NAME     MODE      ENFORCING   AGE\nnode-a   Enforce   True        9s\n"


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    one, other = map(Wire, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_a_message_arrives_unchanged(ends: tuple[Wire, Wire]) -> None:
    """It may be long, and may have line breaks."""
    message = {"do": "attach", "with": {"text": "two\nlines", "long": "x" * 1_000_000}}
    # The message is larger than the socket's buffer, so the other end has to read while it is sent.
    sender = threading.Thread(target=ends[0].send, args=[message])
    sender.start()
    received = ends[1].receive(10.0)
    sender.join()

    assert message == received


def test_a_closed_wire_gives_none(ends: tuple[Wire, Wire]) -> None:
    ends[0].close()

    assert ends[1].receive(10.0) is None


def test_a_silent_wire_is_not_closed(ends: tuple[Wire, Wire]) -> None:
    with pytest.raises(TimeoutError):
        ends[1].receive(0.01)


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (75, 3.0), (99, 4.0), (0, 1.0)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    """It is the smallest value that the given percentage of the values does not exceed."""
    assert expected == percentile([4.0, 1.0, 3.0, 2.0], percent)


@pytest.mark.parametrize(("series", "expected"), [({}, 1), ({"series": {"count": 4}}, 4), ({"series": None}, 1)])
def test_an_event_stands_for_as_many_kills_as_its_series_counts(series: dict[str, Any], expected: int) -> None:
    assert expected == Seen({"note": NOTE, **series}, 0.0).count


def test_the_victims_pid_is_not_that_of_the_spared_process() -> None:
    assert Seen({"note": NOTE}, 0.0).pid == 7


def test_the_demos_expected_story_has_no_flaw() -> None:
    assert [] == list(flaws(REPORT.pod.name, NOTE, OOMNODE))


@pytest.mark.parametrize(
    ("victim", "note", "oomnode", "expected"),
    [
        (DATABASE.pod.name, NOTE, OOMNODE, "postgres-0 died first, not report-29393280-lq5rd"),
        (None, NOTE, OOMNODE, "no pod died first, not report-29393280-lq5rd"),
        (REPORT.pod.name, NOTE.partition("; spared")[0], OOMNODE, "the Event does not say 'spared: postgres '"),
        (REPORT.pod.name, NOTE, OOMNODE.replace("True ", "False"), ENFORCES),
        (REPORT.pod.name, NOTE, "NAME     MODE   ENFORCING   AGE\nnode-a                      9s\n", ENFORCES),
        (REPORT.pod.name, NOTE, OOMNODE.splitlines()[0], ENFORCES),
    ],
)
def test_a_deviation_from_the_story_is_a_flaw(victim: str | None, note: str, oomnode: str, expected: str) -> None:
    assert [expected] == list(flaws(victim, note, oomnode))


def test_the_demos_pods_have_the_priorities_of_the_examples() -> None:
    """Otherwise the test would wait for an entry that is never written."""
    found = load_manifests([EXAMPLES])
    pods = {pod.name: pod for pod in found.pods}

    assigned = resolve(found.policies, found.namespaces, [pods[role.pod.name] for role in (DATABASE, REPORT)])
    expected = {role.pod.name: role.priority for role in (DATABASE, REPORT)}
    assert expected == {each.pod_name: each.priority for each in assigned}
