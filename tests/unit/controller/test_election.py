# SPDX-License-Identifier: Apache-2.0
"""One at a time: a Lease is taken, kept and given back, and its loss is noticed. A fake has the faults."""

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

# A machine that is busy with something else may stand still for seconds: nobody loses a Lease by that.
PATIENT = replace(SETTINGS, renew_every=0.02, standby_every=0.02, renew_deadline=60.0, lease_duration=120.0)
HURRIED = replace(PATIENT, renew_deadline=1.0, lease_duration=2.0)
REFUSED = Answer(503, status(503, "ServiceUnavailable", "not today"))


class Leases:
    """One Lease, with optimistic locking as the API server has it; while `down`, nothing is answered."""

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


class Heard:
    """What the election said, in order."""

    def __init__(self) -> None:
        self.said: Queue[str] = Queue()

    def next(self) -> str:
        return self.said.get(timeout=10)


@contextmanager
def election(leases: Leases, settings: Settings = PATIENT) -> Iterator[tuple[Election, Heard]]:
    heard = Heard()
    with serving(by=leases.answer) as server:
        made = Election(
            Connection(server.configuration),
            settings,
            Metrics(),
            elected=lambda: heard.said.put("elected"),
            lost=heard.said.put,
        )
        made.start()
        yield made, heard
        made.stop()


@pytest.mark.parametrize("leases", [Leases(), Leases(holder="")], ids=["absent", "released"])
def test_a_lease_that_nobody_holds_is_taken(leases: Leases) -> None:
    """And given back in the end."""
    with election(leases) as (made, heard):
        assert "elected" == heard.next()
        assert ("me", True) == (leases.holder, made.leading)

    assert ("", False) == (leases.holder, made.leading)


def test_a_lease_that_is_held_is_left_alone() -> None:
    """Until it is released, which is noticed at once."""
    leases = Leases(holder="other")
    with election(leases) as (made, heard):
        with pytest.raises(Empty):
            heard.said.get(timeout=0.2)
        assert made.answered
        assert leases.lease is not None
        leases.write({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": ""}})

        assert "elected" == heard.next()


def test_a_lease_that_nobody_renews_is_taken() -> None:
    """When it has lasted for as long as its holder said."""
    leases = Leases(holder="killed", duration=0)
    with election(leases) as (_, heard):
        assert "elected" == heard.next()
        assert leases.lease is not None
        assert 1 == leases.lease["spec"]["leaseTransitions"]


def test_a_server_that_is_away_for_too_long_ends_the_lead() -> None:
    """Before the Lease itself ends, when another may take it."""
    leases = Leases()
    with election(leases, HURRIED) as (made, heard):
        heard.next()
        leases.down = True

        assert heard.next().startswith("the Lease could not be renewed for ")
        assert not made.leading


def test_a_server_that_is_away_for_a_moment_does_not() -> None:
    """The Lease is renewed when it is back."""
    leases = Leases()
    with election(leases) as (made, heard):
        heard.next()
        assert leases.lease is not None
        leases.down = True
        with pytest.raises(Empty):
            heard.said.get(timeout=0.1)
        leases.down = False
        with pytest.raises(Empty):
            heard.said.get(timeout=0.5)

        assert made.leading


def test_a_lease_that_was_taken_ends_the_lead() -> None:
    """It is not given back: it is another's."""
    leases = Leases()
    with election(leases) as (_, heard):
        heard.next()
        assert leases.lease is not None
        leases.write({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}})
        assert "the Lease is held by thief" == heard.next()

    assert "thief" == leases.holder


def test_a_lease_that_somebody_labelled_is_kept() -> None:
    """With its label, though it is not as it was read."""
    leases = Leases()
    with election(leases) as (made, heard):
        heard.next()
        assert leases.lease is not None
        leases.write({**leases.lease, "metadata": {**leases.lease["metadata"], "labels": {"a": "b"}}})
        with pytest.raises(Empty):
            heard.said.get(timeout=0.5)

        assert made.leading
        assert {"a": "b"} == leases.lease["metadata"]["labels"]
