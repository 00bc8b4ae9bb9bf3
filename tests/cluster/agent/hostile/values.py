# SPDX-License-Identifier: Apache-2.0
"""Hold texts, numbers and quantities that programs read wrongly, and write objects that no JSON library writes."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

LONG: Final = "a" * 63
BIDI: Final = "\u202e003\u202c \u2066x\u2069"
ESCAPES: Final = "\x1b[31mred\x1b[0m\r\n\x07"

TEXTS: Final = (
    *("", " ", "\t", "\n", "\0", ESCAPES, BIDI, "\ufeff300", "300\u200b", "\u00a0300", "\ud800", "\U0001f4a3"),
    *("\u0663\u0660\u0660", "\uff13\uff10\uff10", "\u0967\u0966\u0966", "\u2462", "e\u0301", "\u540d\u524d"),
    *("1e2", "1E3", "+5", "-0", "-1", " 300", "300 ", "0300", "0x12c", "0b1", "1_000", "300.0", "1001", "10:50"),
    *("NaN", "nan", "Infinity", "-inf", "null", "~", "true", "yes", "{}", "[]", "%s%n", "%d", "${x}"),
    *("../../etc/passwd", "a/b/c", "/", "a/", "-", ".", "A", "<b>", "'; --", LONG, LONG + "a", "a." * 126 + "ab"),
    *("x" * 300, "9" * 5_000, "x" * 100_000),
)
"""Texts of other scripts, spellings of numbers, control characters, texts that change the direction, and long texts."""

NUMBERS: Final = (
    *("0", "-0", "-1", "7", "1000", "1001", "1000000", "2147483647", "2147483648", "-2147483649"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400),
    *("1e2", "1E+3", "500.0", "1.0e2", "0.5", "1e-1", "1e21", "1e308", "1e400", "-1e400"),
    *("0300", "0x12c", "+5", ".5", "1_000", "NaN", "Infinity", "-Infinity"),
)
"""Numbers as they stand in the text of an object. The last ones are no JSON."""

QUANTITIES: Final = (
    *("0", "1", "1n", "1e000", "1e009", "1e400", "1e-3", "0.2501", "+1", "-1", " 1Mi ", "1Mi\n", "1Ei", "1E", "1e"),
    *("9223372036854775807", "9223372036854775808", "9" * 60, "1.5Gi", "0x10", "NaN", "1\u0663", "", "1mi", "1 Mi"),
)

_TOKEN: Final = re.compile(r'"@@(.*?)@@"')


def number(text: str) -> str:
    """Return a mark that `written` replaces by these characters without quotes."""
    return f"@@{text}@@"


def twice(key: str, times: int = 1) -> str:
    """Return another key that `written` writes as `key`."""
    return f"{key}{'@#' * times}"


def written(value: object) -> bytes:
    """Return JSON, or a text that only looks like JSON."""
    text = _TOKEN.sub(lambda found: found.group(1), json.dumps(value))
    return text.replace("@#", "").encode()


def junk(rng: Random) -> Any:  # noqa: ANN401 - JSON
    """Return a value of any type."""
    values: list[Any] = [
        rng.choice(TEXTS),
        number(rng.choice(NUMBERS)),
        rng.choice([None, True, False, [], {}, [[]], [None], [{}], {"": ""}, {"a": None}]),
        {rng.choice(TEXTS): rng.choice(TEXTS)},
        nested(rng.choice([3, 60, 3_000])),
    ]
    return copy.deepcopy(rng.choice(values))  # a later change of a value must not reach the lists here


def nested(depth: int) -> str:
    """Return the mark of a list in a list, so many times."""
    return number("[" * depth + "]" * depth)


def managed(depth: int) -> list[dict[str, Any]]:
    """Return `metadata.managedFields` with so many levels."""
    fields = number('{"f:a":' * depth + "{}" + "}" * depth)
    manager = {"manager": "m", "operation": "Apply", "time": "2026-11-25T12:00:00Z"}
    return [{**manager, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]


def places(value: object, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield every member of every object and list: its holder, its key, and its path."""
    if isinstance(value, dict):
        members = [(key, f"{path}.{key}") for key in value]
    elif isinstance(value, list):
        members = [(index, f"{path}[{index}]") for index in range(len(value))]
    else:
        return
    for key, here in members:
        yield value, key, here
        yield from places(value[key], here)
