# SPDX-License-Identifier: Apache-2.0
"""Changes that others wait for are written to the OOMNode at once, and other changes at intervals."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import UnreachableError
from oompolicy_agent.api.statuswriter import StatusWriter, body, path_of, urgent, with_heartbeat
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.counters import Counters
from tests.unit.agent.fakeapi import FakeConnection, at_once, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.kube.connection import Connection


def condition(kind: str, status: str = "True", reason: str = "Good", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "t"}


def status(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    made = {
        "mode": "Enforce",
        "backend": "EvaluateTask",
        "hook": "Kernel",
        "kernelVersion": "6.12",
        "policyHash": "abc",
        "counts": {"pods": 1},
        "notMapped": [{"name": "web-0"}],
        "refusals": [],
        "problems": ["a sentence"],
        "lastVictims": [],
        "conditions": [condition("Ready"), condition("Synced")],
    }
    return {**made, **changes}


def test_only_the_fields_of_oomnode_are_applied() -> None:
    """The schema knows no other field, and a field without a value is left out."""
    made = body("node-1", status(backend=None))

    assert ("OOMNode", "node-1") == (made["kind"], made["metadata"]["name"])
    expected = {"mode", "hook", "kernelVersion", "policyHash", "counts", "lastVictims", "conditions"}
    assert expected == set(made["status"])


@pytest.mark.parametrize(
    "changes",
    [
        {"problems": ["another"], "notMapped": []},
        {"counts": {"pods": 2}},
        {"lastVictims": [{"pid": 1}]},
        {"lastHeartbeatTime": "2026-11-28T05:00:00Z"},
        {"conditions": [condition("Ready", message="new"), condition("Synced", reason="PodsNotMapped")]},
    ],
)
def test_changes_that_come_with_every_pod_can_wait(changes: dict[str, Any]) -> None:
    """Pods come and go all the time, and 5,000 nodes would write for each change."""
    assert urgent(status()) == urgent(status(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "Audit"},
        {"backend": None},
        {"hook": "Module"},
        {"policyHash": "def"},
        {"conditions": [condition("Ready", "False"), condition("Synced")]},
    ],
)
def test_changes_that_others_wait_for_cannot_wait(changes: dict[str, Any]) -> None:
    """Others wait for the mode, the backend, the policies in force, and the status of a condition."""
    assert urgent(status()) != urgent(status(**changes))


def test_the_reason_of_a_false_condition_cannot_wait() -> None:
    """You read it to repair the node."""
    one, other = (status(conditions=[condition("Ready", "False", reason)]) for reason in ("One", "Other"))

    assert urgent(one) != urgent(other)


def test_a_heartbeat_has_the_time_and_the_boot() -> None:
    """The time is in UTC and has no fractions of a second, as `metav1.Time` has none."""
    now = datetime(2026, 11, 28, 6, 0, 30, 999_999, tzinfo=UTC).astimezone(tz=None)
    made = body("node-1", with_heartbeat(status(), "boot-1", now))["status"]

    assert "2026-11-28T06:00:30Z" == made["lastHeartbeatTime"]
    assert "boot-1" == made["bootID"]


class Written:
    """A status writer, and the statuses that it wrote."""

    def __init__(self, *answers: Exception | None, every: float = 300.0) -> None:
        self.connection, self.counters = FakeConnection(*answers), Counters()
        settings, self.wake = Settings(in_cluster=True, node="node-1", status_every=every), Wake()
        connection: Connection = self.connection  # type: ignore[assignment]
        self.writer = StatusWriter(connection, settings, self.counters, self.wake, boot_id="boot-1", backoff=at_once())

    def close(self) -> None:
        self.writer.close()
        self.wake.close()

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "it never became so"
            time.sleep(0.001)

    @property
    def hashes(self) -> list[str]:
        return [asked[2]["status"]["policyHash"] for asked in self.connection.asked]


def test_a_status_is_applied_by_the_agents_manager() -> None:
    """The writer uses the subresource, which is all that the agent may write."""
    written = Written()
    written.writer.offer(status())
    written.wait_for(lambda: written.connection.asked)
    written.close()

    assert [("PATCH", f"{path_of('node-1')}/status")] == [asked[:2] for asked in written.connection.asked]


def test_only_the_newest_status_is_written() -> None:
    """Several changes during one write become one further write."""
    written = Written()
    written.connection.may_answer = Semaphore(0)
    written.writer.offer(status(policyHash="one"))
    written.wait_for(lambda: written.connection.begun)
    for text in ("two", "three"):
        written.writer.offer(status(policyHash=text))
    for _ in range(3):
        written.connection.may_answer.release()
    written.wait_for(lambda: written.hashes == ["one", "three"])
    written.close()


def test_changes_that_can_wait_are_written_at_intervals() -> None:
    """The writer repeats the status, because the object may have been replaced by an empty one."""
    written = Written(every=0.05)
    written.writer.offer(status())
    written.wait_for(lambda: written.connection.asked)
    written.writer.offer(status(counts={"pods": 2}))
    written.wait_for(lambda: pods_of(written)[-2:] == [2, 2])
    written.close()

    assert 1 == pods_of(written)[0]


def pods_of(written: Written) -> list[int]:
    return [asked[2]["status"]["counts"]["pods"] for asked in written.connection.asked]


def test_each_write_has_the_heartbeat_of_its_status() -> None:
    """A thread that writes an old status again must not look alive for a loop that hangs."""
    written = Written(every=0.05)
    before = datetime.now(UTC).replace(microsecond=0)
    written.writer.offer(status())
    written.wait_for(lambda: len(written.connection.asked) == 3)
    written.close()
    sent = [asked[2]["status"] for asked in written.connection.asked[:3]]

    assert {"boot-1"} == {each["bootID"] for each in sent}
    (heartbeat,) = {datetime.fromisoformat(each["lastHeartbeatTime"]) for each in sent}
    assert timedelta(0) <= heartbeat - before <= timedelta(seconds=10)


def test_a_heartbeat_is_due_within_the_period_after_any_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write for another reason has the heartbeat too, which saves a write. Agents do not write at the same time."""
    drawn: list[tuple[float, float]] = []
    never, at_once = 1000.0, 0.0
    draws = iter([never, at_once, never])

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return next(draws)

    monkeypatch.setattr("random.uniform", uniform)
    written = Written(every=1.0)
    written.writer.offer(status())
    written.wait_for(lambda: len(drawn) == 1)
    written.writer.offer(status(policyHash="def"))
    # The second write is not for the heartbeat. The third one is, and is due by the number drawn at the second.
    written.wait_for(lambda: len(drawn) == 3)
    written.close()

    assert len(written.connection.asked) == 3
    assert {(0.7, 1.0)} == set(drawn)


def test_a_failed_write_is_tried_again_and_reported() -> None:
    """The operator has to create the OOMNode first, the API server has to answer, and RBAC has to allow the write."""
    written = Written(refused(404), UnreachableError("no answer"), refused(403, "Forbidden"), None)
    written.connection.may_answer = Semaphore(0)
    written.writer.offer(status())
    for problem in (
        "there is no OOMNode node-1 yet: the operator creates it",
        "the status of OOMNode node-1 cannot be written: no answer",
        "the status of OOMNode node-1 cannot be written: 403 Forbidden: no",
        None,
    ):
        written.connection.may_answer.release()
        written.wait_for(partial(has_problem, written, problem))
        written.wait_for(written.wake.take)
    written.close()

    assert {("status", "404"): 1, ("status", "unreachable"): 1, ("status", "403"): 1} == written.counters.errors
    assert 4 == len(written.connection.asked)


def has_problem(written: Written, problem: str | None) -> bool:
    return written.writer.problem == problem


def test_a_closed_writer_ends() -> None:
    """This includes a writer that waits for its next try."""
    written = Written()
    written.writer.offer(status())
    written.wait_for(lambda: written.connection.asked)
    written.close()
    written.writer._thread.join(10)

    assert not written.writer.alive
