# SPDX-License-Identifier: Apache-2.0
"""One operator at a time takes, renews and releases the Lease, and notices its loss. A fake server has the faults."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.controller.election import Election
from oompolicy.controller.metrics import Metrics
from oompolicy.kube.connection import Connection
from tests.unit.controller.raws import SETTINGS
from tests.unit.kube.server import Answer, Asked, serving, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy.controller.settings import Settings

# A busy machine may stop for seconds. The Lease must not be lost by that.
PATIENT = replace(SETTINGS, renew_every=0.02, standby_every=0.02, renew_deadline=60.0, lease_duration=120.0)
HURRIED = replace(PATIENT, renew_deadline=1.0, lease_duration=2.0)
REFUSED = Answer(503, status(503, "ServiceUnavailable", "not today"))


class Leases:
    """One Lease with the optimistic locking of an API server. While `down`, every request is refused."""

    def __init__(self, holder: str | None = None, duration: int = 3600) -> None:
        self.down = False
        self.lease: dict[str, Any] | None = None
        if holder is not None:
            self.write({"metadata": {}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration}})

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    def write(self, lease: dict[str, Any]) -> None:
        version = int(self.lease["metadata"]["resourceVersion"]) + 1 if self.lease else 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(version)}}

    def answer(self, asked: Asked) -> Answer:
        if self.down:
            return REFUSED
        if asked.method == "GET":
            return Answer(body=self.lease) if self.lease else Answer(404, status(404, "NotFound", "no Lease"))
        sent = json.loads(asked.body)
        if asked.method == "PUT" and self.lease and sent["metadata"] != self.lease["metadata"]:
            return Answer(409, status(409, "Conflict", "the object has been modified"))
        self.write(sent)
        return Answer(body=self.lease)


class Recorder:
    """The calls of the election, in order."""

    def __init__(self) -> None:
        self.calls: Queue[str] = Queue()

    def next(self) -> str:
        return self.calls.get(timeout=10)


@contextmanager
def election(leases: Leases, settings: Settings = PATIENT) -> Iterator[tuple[Election, Recorder]]:
    recorder = Recorder()
    with serving(by=leases.answer) as server:
        made = Election(
            Connection(server.configuration),
            settings,
            Metrics(),
            elected=lambda: recorder.calls.put("elected"),
            lost=recorder.calls.put,
        )
        made.start()
        yield made, recorder
        made.stop()


@pytest.mark.parametrize("leases", [Leases(), Leases(holder="")], ids=["absent", "released"])
def test_a_free_lease_is_taken_and_released_at_the_end(leases: Leases) -> None:
    """A Lease without a holder is taken, and has no holder after the stop."""
    with election(leases) as (made, recorder):
        assert "elected" == recorder.next()
        assert "me" == leases.holder
        assert made.leading is True

    assert "" == leases.holder
    assert made.leading is False


def test_a_held_lease_is_taken_only_after_its_release() -> None:
    """While another operator holds the Lease, this one only reads it. After the release it leads at once."""
    leases = Leases(holder="other")
    with election(leases) as (made, recorder):
        with pytest.raises(Empty):
            recorder.calls.get(timeout=0.2)
        assert made.answered
        assert leases.lease is not None
        leases.write({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": ""}})

        assert "elected" == recorder.next()


def test_an_expired_lease_is_taken() -> None:
    """A Lease that was not renewed for its own duration is taken, and its transitions are counted."""
    leases = Leases(holder="killed", duration=0)
    with election(leases) as (_, recorder):
        assert "elected" == recorder.next()
        assert leases.lease is not None
        assert 1 == leases.lease["spec"]["leaseTransitions"]


def test_an_unreachable_server_ends_the_lead() -> None:
    """The leader stops before the Lease expires and another operator may take it."""
    leases = Leases()
    with election(leases, HURRIED) as (made, recorder):
        recorder.next()
        leases.down = True

        assert recorder.next().startswith("the Lease could not be renewed for ")
        assert not made.leading


def test_a_short_outage_does_not_end_the_lead() -> None:
    """The Lease is renewed when the server answers again."""
    leases = Leases()
    with election(leases) as (made, recorder):
        recorder.next()
        assert leases.lease is not None
        leases.down = True
        with pytest.raises(Empty):
            recorder.calls.get(timeout=0.1)
        leases.down = False
        with pytest.raises(Empty):
            recorder.calls.get(timeout=0.5)

        assert made.leading


def test_the_loss_of_the_lease_ends_the_lead() -> None:
    """A Lease with another holder is not released, because it belongs to that holder."""
    leases = Leases()
    with election(leases) as (_, recorder):
        recorder.next()
        assert leases.lease is not None
        leases.write({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}})
        assert "the Lease is held by thief" == recorder.next()

    assert "thief" == leases.holder


def test_a_lease_with_a_new_label_is_renewed() -> None:
    """A 409 by a change of the labels does not end the lead, and the label is kept."""
    leases = Leases()
    with election(leases) as (made, recorder):
        recorder.next()
        assert leases.lease is not None
        leases.write({**leases.lease, "metadata": {**leases.lease["metadata"], "labels": {"a": "b"}}})
        with pytest.raises(Empty):
            recorder.calls.get(timeout=0.5)

        assert made.leading
        assert {"a": "b"} == leases.lease["metadata"]["labels"]
