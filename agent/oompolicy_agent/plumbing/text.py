# SPDX-License-Identifier: Apache-2.0
"""Makes names that anyone on the node may choose (a process sets its own) fit for logs and Events. Pure."""

from __future__ import annotations

from oompolicy.text import ELLIPSIS


def printable(raw: bytes | str) -> str:
    """The same with every byte or character that is not printable escaped, so that it stays on one line."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def clip_start(text: str, limit: int) -> str:
    """At most `limit` characters, the start cut off visibly: of a path the end says more."""
    return text if len(text) <= limit else ELLIPSIS + text[len(text) - limit + 1 :]


def utf8(text: str) -> bytes:
    """Half of a surrogate pair, which a file's name or JSON may hold and UTF-8 may not, becomes a question mark."""
    return text.encode("utf-8", "replace")


def fit_bytes(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, the end cut off visibly, no character in halves."""
    raw = utf8(text)
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[: limit - len(ELLIPSIS.encode())].decode("utf-8", "ignore") + ELLIPSIS
