# SPDX-License-Identifier: Apache-2.0
"""The sentences that say what is wrong right now, by area; each change is logged once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.reasons import Area

log = logging.getLogger(__name__)


class Problems:
    """Area -> sentences. `current` is replaced, never changed: another thread may read it."""

    def __init__(self) -> None:
        """Nothing wrong."""
        self.current: Mapping[Area, tuple[str, ...]] = {}

    def set(self, area: Area, *sentences: str) -> bool:
        """State all that is wrong in an area, nothing to clear it; True if that is new."""
        found = tuple(filter(None, sentences))
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
