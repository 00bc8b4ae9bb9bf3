# SPDX-License-Identifier: Apache-2.0
"""Suggest names that are similar to a misspelt one. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a message, which names similar names, or nothing if there is none."""
    close = get_close_matches(name, list(names))
    return f". Did you mean {' or '.join(close)}?" if close else ""
