# SPDX-License-Identifier: Apache-2.0
"""Read a Kubernetes quantity such as `512Mi`, `0.5`, `100m` or `1e3`, exactly."""

import re
from fractions import Fraction
from typing import Final

# Two digits of exponent are more than a byte count can use, and keep 1e999999999 from filling the memory.
_QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)
_DECIMAL: Final = {unit: Fraction(10) ** (3 * power) for power, unit in enumerate("num kMGTPE", start=-3)}
_BINARY: Final = {f"{unit}i": Fraction(2) ** (10 * power) for power, unit in enumerate("KMGTPE", start=1)}
_UNITS: Final = {**_DECIMAL, **_BINARY, "": Fraction(1)}


def parse_quantity(text: str) -> Fraction:
    """The number `text` stands for; `ValueError` if it is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    sign, digits, exponent, unit = match.groups()
    scale = Fraction(10) ** int(exponent) if exponent else _UNITS[unit or ""]
    return Fraction(f"{sign}{digits}") * scale
