# SPDX-License-Identifier: Apache-2.0
"""Read the value of a plain scalar or key as kubectl does. PyYAML reads many of them differently.

kubectl reads YAML 1.1 as go.yaml.in/yaml/v2 does (resolve.go): `22:30` is no number, `1e3`, `08` and `0o17` are
numbers, `y` is true. The result goes through JSON (sigs.k8s.io/yaml), so that a whole number is an integer however
it is written, and neither infinity nor NaN has a place.
"""

import math
import re
from decimal import Decimal
from typing import Final

Scalar = str | int | float | bool | None

_NAMED: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER: Final = re.compile(
    r"(?P<sign>[+-]?)(0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_BASES: Final = {"x": 16, "b": 2, "o": 8, "d": 10}
_SIGNED_BINARY: Final = re.compile(r"0b(?P<sign>[+-])(?P<b>[01]+)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_POINT_FIRST: Final = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?", re.ASCII)
_MIN_INT64: Final = -(2**63)
_MAX_INT64: Final = 2**63 - 1
_UINT64_BITS: Final = 64
_NUMBER_BEGINS: Final = frozenset("+-0123456789")


def go_value(text: str) -> Scalar:
    """Return the value of a scalar without quotes and without a tag, before JSON."""
    if text in _NAMED:
        return _NAMED[text]
    number: int | float | None = None
    plain = text.replace("_", "")
    if text[0] in _NUMBER_BEGINS:
        number = _number(plain)
    elif _POINT_FIRST.fullmatch(text):
        number = _finite(plain)
    return text if number is None else number


def json_value(value: Scalar) -> Scalar:
    """Return the value that Kubernetes has after JSON: an integer where a number is whole and has 64 bits.

    Raise `ValueError` for infinity and NaN.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number to JSON")
    # Go writes the shortest digits that are this float64, and zeros for the rest.
    whole = Decimal(repr(value)) if isinstance(value, float) else value
    return int(whole) if _MIN_INT64 <= whole <= _MAX_INT64 and whole % 1 == 0 else float(value)


def key_of(text: str) -> str:
    """Return the name that a key without quotes has in JSON. For 0x10 this is 16.

    Raise `ValueError` for null, which is no JSON key, and for a float, which kubectl writes with other digits.
    """
    value = go_value(text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or value is None or (isinstance(value, int) and value > _MAX_INT64):
        raise ValueError(f"the key {text} must be a string; put it in quotes")
    return str(value)


def _number(plain: str) -> int | float | None:
    match = _INTEGER.fullmatch(plain) or _SIGNED_BINARY.fullmatch(plain)
    if match is None:
        return _finite(plain) if _FLOAT.fullmatch(plain) else None
    base, digits = next((base, digits) for base, digits in match.groupdict().items() if base != "sign" and digits)
    # No text so long that int() would take its time: 64 bits are at most 64 digits.
    number = int(digits.lstrip("0")[: _UINT64_BITS + 1] or "0", _BASES[base])
    if number.bit_length() <= _UINT64_BITS:
        signed = -number if match["sign"] == "-" else number
        # ParseUint may accept a number that ParseInt refuses, but not one with a sign.
        if _MIN_INT64 <= signed <= _MAX_INT64 or not match["sign"]:
            return signed
    return _finite(plain) if _FLOAT.fullmatch(plain) else None


def _finite(text: str) -> float | None:
    """Return None for a number beyond a float64: Go's ParseFloat refuses it, so the value is a string."""
    number = float(text)
    return number if math.isfinite(number) else None
