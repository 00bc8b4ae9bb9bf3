# SPDX-License-Identifier: Apache-2.0
"""Read a Kubernetes quantity such as `512Mi`, `0.5`, `100m` or `1e3`, exactly and as Kubernetes does.

The rules are those of k8s.io/apimachinery/pkg/api/resource (Quantity.UnmarshalJSON, ParseQuantity), down to the
odd ones: `.` and `Mi` are 0, and `1e000` is 1. The API server returns such texts unchanged, so a reader that knows
fewer of them reads a pod otherwise than the kubelet. The client's `kubernetes.utils.parse_quantity` knows fewer.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_UP, Context, Decimal
from fractions import Fraction
from typing import Final

MAX_QUANTITY: Final = 2**63 - 1
"""The largest quantity. A larger text counts as this number, so a request beyond every node stays the largest."""

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?\d*(?:\.\d*)?)(?P<suffix>[eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?", re.ASCII
)
_DECIMAL: Final = {unit: 3 * power for power, unit in enumerate("num kMGTPE", start=-3)}
_BINARY: Final = {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGTPE", start=1)}
_EXPONENT_DIGITS: Final = 19  # of an int64, to which Go parses an exponent
_INT64: Final = range(-(2**63), 2**63)
_SHOWN: Final = 40
_NEVER_ALONE: Final = ("Pi", "Ei")
_SMALLEST: Final = -9
_NANO: Final = Decimal(10) ** _SMALLEST
# Go's TrimSpace removes these. JSON writes the other spaces, such as a tab, as an escape, which is not trimmed.
_SPACES: Final = " \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def read_quantity(text: str | None) -> Fraction:
    """Return the number of a JSON string or number, and 0 for null. Raise `ValueError` if it is no quantity."""
    return Fraction(0) if text is None else parse_quantity(text.strip(_SPACES))


def parse_quantity(text: str) -> Fraction:
    """Return the number of `text`, at most 2^63-1 in magnitude, rounded up to nano. Raise `ValueError`."""
    match = _QUANTITY.fullmatch(text)
    suffix = (match["suffix"] or "") if match else ""
    exponent = _exponent(suffix)
    without_digits = match is not None and not match["number"].strip("+-.")
    # Without digits it is 0, unless Kubernetes comes to its second way of reading numbers.
    unreadable = without_digits and (suffix in _NEVER_ALONE or (exponent or 0) < _SMALLEST)
    if match is None or not text or exponent is None or unreadable:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ValueError(f"{shown!r} is no quantity")
    return _bounded("0" if without_digits else match["number"], exponent, _BINARY.get(suffix, 1), len(text))


def _exponent(suffix: str) -> int | None:
    """Return the power of ten, or `None` beyond an int64. Go parses an int64 and keeps its lower 32 bits."""
    if suffix in _BINARY or suffix == "":
        return 0
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    digits = suffix[1:].lstrip("+-").lstrip("0") or "0"
    exponent = int(digits[: _EXPONENT_DIGITS + 1]) * (-1 if suffix[1] == "-" else 1)
    return (exponent + 2**31) % 2**32 - 2**31 if exponent in _INT64 else None


def _bounded(number: str, exponent: int, factor: int, size: int) -> Fraction:
    """Return `number` x 10^`exponent` x `factor`, computed as Decimal: a Fraction cannot hold 10^2147483647."""
    exact = Context(prec=size + 40, rounding=ROUND_UP, Emin=MIN_EMIN, Emax=MAX_EMAX)
    value = exact.multiply(exact.scaleb(Decimal(number), exponent), Decimal(factor))
    if value.copy_abs() >= MAX_QUANTITY:
        return Fraction(MAX_QUANTITY if value > 0 else -MAX_QUANTITY)
    return Fraction(exact.quantize(value, _NANO))
