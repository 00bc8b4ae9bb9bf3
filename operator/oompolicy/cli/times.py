# SPDX-License-Identifier: Apache-2.0
"""Read durations and show ages as kubectl does. Pure."""

import re
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> timedelta:
    """Return a duration such as `24h` or `1h30m`. Raise `ValueError` with a sentence if the text is not one."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration such as 30m, 24h or 7d")
    amounts = zip(match.groups(default="0"), _UNITS.values(), strict=True)
    try:
        return timedelta(seconds=sum(int(amount) * unit for amount, unit in amounts))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long") from error


def parse_time(text: object) -> datetime | None:
    """Return the time of an RFC 3339 text. A text without a time zone or of another form has none.

    An older definition lets an agent write a list.
    """
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return time if time.tzinfo else None


def age(time: datetime | None, now: datetime) -> str:
    """Return the time since `time` in its largest two units, and a dash without a time."""
    if time is None:
        return "-"
    seconds = max(0, int((now - time).total_seconds()))
    for (unit, length), smaller in zip(_UNITS.items(), [*list(_UNITS)[1:], ""], strict=True):
        if seconds >= length:
            rest = seconds % length // _UNITS[smaller] if smaller else 0
            return f"{seconds // length}{unit}" + (f"{rest}{smaller}" if rest and seconds // length < 10 else "")
    return "0s"
