# SPDX-License-Identifier: Apache-2.0
"""Reports on the Node that its circuit is open: the policies chose too many victims, and the node audits.

There is one Event per opening, also across restarts, because the name of the Event depends on the opening.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any

from oompolicy_agent.api.poster import post
from oompolicy_agent.plumbing.text import fit_bytes
from oompolicy_agent.status.reasons import EventReason
from oompolicy_agent.victims.event import CONTROLLER, INSTANCE_LENGTH, NOTE_BYTES, micro_time, named_for, regarding_of
from oompolicy_agent.victims.naming import HOST

if TYPE_CHECKING:
    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.api.poster import Poster
    from oompolicy_agent.status.counters import Counters

log = logging.getLogger(__name__)


class CircuitEvents:
    """The Events of one node."""

    def __init__(self, node: str, boot_id: str, poster: Poster, counters: Counters) -> None:
        self._node, self._boot_id = node, boot_id
        self._poster, self._counters = poster, counters
        self._reported_ns: int | None = None

    def report(self, opened_ns: int, sentence: str) -> None:
        """Post the Event of an opening, unless it was posted already. `opened_ns` is of the boot clock.

        If the API server rejects the Event, the next call tries again. The condition CircuitOpen has the same sentence.
        """
        if opened_ns == self._reported_ns:
            return
        self._reported_ns = opened_ns
        event = event_of(self._node, f"{self._boot_id}:{opened_ns}", sentence, time.time_ns())
        self._poster.submit(post(event, self._posted))

    def _posted(self, outcome: Outcome) -> None:
        posted = outcome.kind == "done"
        self._counters.event(EventReason.CIRCUIT_OPEN, "posted" if posted else "given_up")
        if not posted:
            self._reported_ns = None
            log.warning("the Event about the open circuit is not posted: %s", outcome.sentence or outcome.kind)


def event_of(node: str, opening: str, sentence: str, time_ns: int) -> dict[str, Any]:
    """Return the Event. `opening` differs for each opening. Pure."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": named_for(node, hashlib.sha256(opening.encode()).hexdigest()[:16]),
            "namespace": "default",
        },
        "eventTime": micro_time(time_ns),
        "type": "Warning",
        "reason": EventReason.CIRCUIT_OPEN,
        "action": "Audit",
        "reportingController": CONTROLLER,
        "reportingInstance": node[:INSTANCE_LENGTH],
        "regarding": regarding_of(HOST, node),
        "note": fit_bytes(sentence, NOTE_BYTES),
    }
