# SPDX-License-Identifier: Apache-2.0
"""The sentences that say what is wrong right now, by area; each change is logged once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from oompolicy_agent.plumbing.text import utf8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oompolicy_agent.status.reasons import Area

SENTENCES: Final = 20
"""Of one area that are told: somebody with a thousand wrong objects makes no log of a megabyte at each change."""

log = logging.getLogger(__name__)


class Problems:
    """Area -> sentences. `current` is replaced, never changed: another thread may read it."""

    def __init__(self) -> None:
        """Nothing wrong."""
        self.current: Mapping[Area, tuple[str, ...]] = {}

    def set(self, area: Area, *sentences: str) -> bool:
        """State all that is wrong in an area, nothing to clear it; True if that is new."""
        # The name of a file that is no UTF-8 cannot be written by others.
        found = _some([utf8(sentence).decode() for sentence in sentences if sentence])
        before = self.current.get(area, ())
        if found == before:
            return False
        for sentence in found:
            if sentence not in before:
                log.error("%s: %s", area, sentence)
        if not found:
            log.info("%s: all right again", area)
        rest = {name: text for name, text in self.current.items() if name != area}
        self.current = {**rest, area: found} if found else rest
        return True


def _some(sentences: Sequence[str]) -> tuple[str, ...]:
    more = len(sentences) - SENTENCES
    return tuple(sentences) if more <= 0 else (*sentences[:SENTENCES], f"and {more} more")
