# SPDX-License-Identifier: Apache-2.0
"""Make untrusted names fit for logs and Events: a process can set its own name. Pure."""

from __future__ import annotations

from oompolicy.text import ELLIPSIS


def printable(raw: bytes | str) -> str:
    """Return the text on one line, with every byte or character that is not printable escaped."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def clip_start(text: str, limit: int) -> str:
    """Return at most `limit` characters of the end, with a sign of the cut. The end of a path says more."""
    return text if len(text) <= limit else ELLIPSIS + text[len(text) - limit + 1 :]


def utf8(text: str) -> bytes:
    """Encode the text. Half of a surrogate pair, which file names and JSON may contain, becomes a question mark."""
    return text.encode("utf-8", "replace")


def fit_bytes(text: str, limit: int) -> str:
    """Return at most `limit` bytes of UTF-8 with a sign of the cut, and without half characters."""
    raw = utf8(text)
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[: limit - len(ELLIPSIS.encode())].decode("utf-8", "ignore") + ELLIPSIS
