# SPDX-License-Identifier: Apache-2.0
"""Reads JSON of the API server, however deep it is nested.

The API server stores up to 10,000 levels in `metadata.managedFields`, also of a pod that any user may create. Python's
parser refuses 1,000 levels. One such pod must not make all others unreadable, and no field that oompolicy reads has
more than a few levels.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

DEPTH: Final = 100
"""The number of levels that are read of a value that Python's parser refuses."""

# A string that the text ends in is one token too. Otherwise its brackets would count.
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[][{}]', re.DOTALL)
_DECODER: Final = json.JSONDecoder()


def read_value(text: str) -> tuple[Any, int]:
    """Return the JSON value at the beginning of a text, and its end. Raise ValueError if it is wrong or incomplete.

    Lists and objects that are nested too deep are null.
    """
    try:
        return _DECODER.raw_decode(text)
    except RecursionError:
        flat, end = _flattened(text)
    return _DECODER.raw_decode(flat)[0], end


def read_whole(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON value of a body, as `read_value` does. Raise ValueError if there is more than one value."""
    try:
        return json.loads(body)
    except RecursionError:
        text = body.decode()
    value, end = read_value(text)
    if text[end:].strip():
        raise ValueError("there is more than one value")
    return value


def _flattened(text: str) -> tuple[str, int]:
    """Return the first value without its deepest levels, and its end in `text`."""
    kept: list[str] = []
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        if token.group() in ("[", "{"):
            depth += 1
            if depth == DEPTH + 1:
                kept += text[begin : token.start()], "null"
        elif token.group() in ("]", "}"):
            if depth == DEPTH + 1:
                begin = token.end()
            depth -= 1
            if not depth:
                return "".join([*kept, text[begin : token.end()]]), token.end()
    raise ValueError("the value is incomplete")
