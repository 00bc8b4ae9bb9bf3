# SPDX-License-Identifier: Apache-2.0
"""Decide whether a message is for people. Pure.

A message is readable if it is not empty and not too long, prints on a terminal as it is, and shows no internals of a
program. A refusal of one of oompolicy's objects also names a field that is wrong, and says what is wrong with it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

LONGEST: Final = 32_768
"""Characters. Kubernetes allows so many in the message of a condition."""
_INTERNALS: Final = re.compile(
    r"Traceback|goroutine \d|panic:|runtime error|<nil>|map\[|interface \{|\*v1|%!|0x[0-9a-f]{8}|"
    r"object at 0x|Error\(|<class|NoneType|dataclass"
)
_KUBERNETES_OWN: Final = re.compile(
    r"(, )?<nil>: Invalid value: (null: some validation rules were not checked because the object was invalid; "
    r'correct the existing errors to complete validation|"": Checked value must be of type integer with format '
    r"int32 in [\w.\[\]]+)"
)
"""Sentences that Kubernetes adds to those of a definition. No definition can change them."""
_INTEGER: Final = "expected int, got float64 evaluating rule"
"""The refusal of an integer with a fraction or an exponent, such as 1e2, if a rule of the definition reads it.

Kubernetes writes it before the rule runs, so that no definition can name the field.
"""
_ERRORS: Final = (
    *("Invalid value", "Unsupported value", "Required value", "Duplicate value", "Too long", "Too many", "Forbidden"),
    *("unknown field", "duplicate field", "cannot unmarshal", "is required", "must be", "not valid", "already exists"),
    "does not match the name on the URL",
)


def flaw(message: str, echoed: str = "") -> str:
    """Return the reason why a message is not for people, or an empty text. It may repeat what is in `echoed`."""
    if not message.strip():
        return "it is empty"
    if len(message) > LONGEST + 3 * len(echoed):  # an escaped character has up to three backslashes
        return f"it has {len(message)} characters"
    odd = next(
        (each for each in message if not each.isprintable() and each not in "\n\t" and not _in(each, echoed)), ""
    )
    if odd:
        return f"it has the character {odd!r}"
    internal = next((each for each in _INTERNALS.findall(message) if each not in echoed), "")
    return f"it shows the internals {internal!r}" if internal else ""


def flaw_of_refusal(message: str, fields: tuple[str, ...], body: str) -> str:
    """Return the reason why a refusal is not for people, or an empty text. `fields` are the wrong ones.

    They are empty if Kubernetes cannot read the body, and refuses it before it knows the kind. Kubernetes itself
    repeats a part of the body in some refusals, which go to the author of the body.
    """
    if not fields or _INTEGER in message:
        return "" if message.strip() else "it is empty"
    message = _KUBERNETES_OWN.sub("", message)
    if found := flaw(message, body):
        return found
    if not any(each in message for each in _ERRORS):
        return "it does not say what is wrong"
    if not any(path in message for each in fields for path in _named(each)):
        return f"it names none of {', '.join(fields)}"
    return ""


def is_read(body: bytes) -> bool:
    """Return True if a body is JSON with numbers that Kubernetes reads, so that a refusal can name a field."""
    try:
        json.loads(body, parse_constant=_refuse, parse_float=_number, parse_int=_number)
    except (ValueError, RecursionError):
        return False
    return True


def _in(character: str, body: str) -> bool:
    """Return True if a body has a character, maybe escaped as in JSON."""
    return character in body or json.dumps(character)[1:-1] in body


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _number(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(text)
    return found


def _named(path: str) -> tuple[str, ...]:
    """Return the path and its parents below `spec`, `metadata` and `status`. A rule can be about an object."""
    parts = path.split(".")
    parents = [".".join(parts[:length]) for length in range(len(parts), min(len(parts), 2) - 1, -1)]
    return (*parents, "the name of the object") if path == "metadata.name" else tuple(parents)
