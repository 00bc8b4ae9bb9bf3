# SPDX-License-Identifier: Apache-2.0
"""Durations are read, and ages are shown, as kubectl does."""

from datetime import UTC, datetime, timedelta

import pytest

from oompolicy.cli.times import age, parse_duration, parse_time

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800), ("1h30m", 5400), ("0s", 0)]
)
def test_a_duration_has_units(text: str, seconds: int) -> None:
    """Several units are added."""
    assert timedelta(seconds=seconds) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "30m1h", "1.5h", "9" * 40 + "d"])
def test_other_texts_are_no_duration(text: str) -> None:
    """The message shows a duration, or says that it is too long."""
    with pytest.raises(ValueError, match=r"is no duration such as 30m, 24h or 7d|is too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (61, "1m1s"), (300, "5m"), (719, "11m"), (5400, "1h30m"), (86400 * 3, "3d"), (-5, "0s")],
)
def test_an_age_has_two_units_at_most(seconds: int, shown: str) -> None:
    """A clock of a node that is ahead does not make a negative age."""
    assert shown == age(NOW - timedelta(seconds=seconds), NOW)


def test_a_missing_time_is_a_dash() -> None:
    """An agent of an old version has no heartbeat."""
    assert "-" == age(None, NOW)


@pytest.mark.parametrize("text", [None, "", "soon", "2026-11-28T12:00:00", [[1]]])
def test_a_text_without_a_zone_is_no_time(text: object) -> None:
    """Every time of the API has a zone. Kubernetes accepts a list in place of a time that has a format."""
    assert parse_time(text) is None
    assert NOW == parse_time("2026-11-28T12:00:00.000000Z")
