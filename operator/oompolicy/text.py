# SPDX-License-Identifier: Apache-2.0
"""Shortens texts that people read."""

from typing import Final

ELLIPSIS: Final = "…"


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`. An ellipsis stands for the end that is cut off."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS
