# SPDX-License-Identifier: Apache-2.0
"""After too many kills by policies in a minute, the node audits for ten minutes."""

from __future__ import annotations

import pytest

from oompolicy.oomsettings import Mode, ProgramSettings, TieBreak
from oompolicy_agent.mapping.circuit import Circuit, Opening

SECOND = 1_000_000_000
ENFORCE = ProgramSettings(Mode.ENFORCE, TieBreak.MOST_OVER_REQUEST, 64)


@pytest.fixture
def circuit() -> Circuit:
    """The boot was at the epoch, so both clocks are the same."""
    return Circuit(lambda: 0)


def kills(circuit: Circuit, *seconds: float, limit: int | None = 2) -> list[bool]:
    return [circuit.count(round(each * SECOND), limit) for each in seconds]


def test_the_kill_above_the_limit_opens_the_circuit(circuit: Circuit) -> None:
    assert [False, False, True, False] == kills(circuit, 100, 101, 102, 103)
    assert Opening(102 * SECOND, 2) == circuit.opening
    assert "more than 2 victims within a minute (maxKillsPerMinute)" in circuit.sentence
    assert "until 1970-01-01T00:11:42Z" in circuit.sentence


def test_only_the_kills_of_a_minute_count(circuit: Circuit) -> None:
    """A kill that is exactly a minute old no longer counts."""
    assert [False, False, False, True] == kills(circuit, 0, 10, 60, 69.9)


@pytest.mark.parametrize("limit", [None, 0])
def test_without_a_limit_it_stays_closed(circuit: Circuit, limit: int | None) -> None:
    assert [False] * 50 == kills(circuit, *range(50), limit=limit)


def test_kills_before_a_restart_count(circuit: Circuit) -> None:
    """Those of an earlier minute do not."""
    earlier = Circuit(lambda: 0)
    kills(earlier, 0, 50)
    circuit.restore(None, earlier.kills)

    assert [False, True] == kills(circuit, 65, 66)


def test_it_closes_after_ten_minutes(circuit: Circuit) -> None:
    """The next kills are counted from the start."""
    kills(circuit, 0, 1, 2)

    assert 600 == circuit.settle(2, 2 * SECOND)
    assert 1 == circuit.settle(2, 601 * SECOND)
    assert circuit.settle(2, 602 * SECOND) is None
    assert (None, "") == (circuit.opening, circuit.sentence)
    assert [False, False, True] == kills(circuit, 602, 603, 604)


def test_a_burst_that_is_read_late_opens_for_the_rest_of_the_time(circuit: Circuit) -> None:
    """The agent was not running for nine minutes."""
    kills(circuit, 0, 1, 2)

    assert 62 == circuit.settle(2, 540 * SECOND)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_change_of_the_limit_closes_it(circuit: Circuit, limit: int) -> None:
    kills(circuit, 0, 1, 2)

    assert circuit.settle(limit, 3 * SECOND) is None


def test_an_unknown_limit_keeps_it_open(circuit: Circuit) -> None:
    """An agent that has just started knows no OOMSettings yet."""
    circuit.restore((2 * SECOND, 2), ())

    assert 599 == circuit.settle(None, 3 * SECOND)
    assert circuit.sentence


@pytest.mark.parametrize(
    ("wanted", "expected"), [(Mode.ENFORCE, Mode.AUDIT), (Mode.AUDIT, Mode.AUDIT), (Mode.OFF, Mode.OFF)]
)
def test_an_open_circuit_changes_enforce_only(circuit: Circuit, wanted: Mode, expected: Mode) -> None:
    """The kill switch stays in effect, and so do the other settings."""
    settings = ENFORCE._replace(mode=wanted)
    assert settings == circuit.limit(settings)
    kills(circuit, 0, 1, 2)

    assert settings._replace(mode=expected) == circuit.limit(settings)
    assert circuit.limit(None) is None
