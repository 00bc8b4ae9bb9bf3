# SPDX-License-Identifier: Apache-2.0
"""The problems of the node right now, by reason. Each change is logged once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from oompolicy_agent.plumbing.text import utf8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oompolicy_agent.status.reasons import Reason

SENTENCES: Final = 20
"""Sentences of one reason that are kept. A thousand invalid objects must not log a megabyte at each change."""

log = logging.getLogger(__name__)


class Problems:
    """The sentences of each reason. `current` is replaced and never changed, so that other threads may read it."""

    def __init__(self) -> None:
        self.current: Mapping[Reason, tuple[str, ...]] = {}

    def set(self, reason: Reason, *sentences: str | None) -> bool:
        """Replace all sentences of a reason, and return True if they changed. None stands for no problem."""
        # The name of a file may not be valid UTF-8, and status.json has to be.
        found = _clipped([utf8(sentence).decode() for sentence in sentences if sentence is not None])
        before = self.current.get(reason, ())
        if found == before:
            return False
        for sentence in found:
            if sentence not in before:
                log.error("%s: %s", reason, sentence)
        if not found:
            log.info("%s: resolved", reason)
        rest = {each: texts for each, texts in self.current.items() if each != reason}
        self.current = {**rest, reason: found} if found else rest
        return True


def _clipped(sentences: Sequence[str]) -> tuple[str, ...]:
    more = len(sentences) - SENTENCES
    return tuple(sentences) if more <= 0 else (*sentences[:SENTENCES], f"and {more} more")
