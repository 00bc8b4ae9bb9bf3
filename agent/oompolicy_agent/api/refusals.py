# SPDX-License-Identifier: Apache-2.0
"""Reports to a pod's owner which annotations are refused, and which fields of the pod cannot be read.

There is one Event per change, also across restarts.
The node's Events go to namespaces in turns: a namespace with many refused annotations does not delay the Events of
the others.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.api import API_VERSION
from oompolicy.kube.backoff import Backoff
from oompolicy.model import Refusal
from oompolicy.text import clip
from oompolicy_agent.api.limits import Bucket, PodBuckets
from oompolicy_agent.api.poster import post
from oompolicy_agent.plumbing.text import fit_bytes, printable
from oompolicy_agent.plumbing.turns import in_turns
from oompolicy_agent.status.reasons import EventReason
from oompolicy_agent.victims.event import CONTROLLER, INSTANCE_LENGTH, NOTE_BYTES, micro_time, named_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy.model import Assignment, Unread
    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.api.poster import Poster
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters

_SHORT: Final = 90
"""Characters of a value or message in a note."""

log = logging.getLogger(__name__)


class _Holding(NamedTuple):
    """The refusals of one pod, by the names of their Events."""

    assignment: Assignment
    refusals: dict[str, tuple[Assignment, Refusal | Unread]]


class Refusals:
    """The refusals of all pods. `reported` names the posted Events, for as long as their refusals exist."""

    def __init__(
        self,
        settings: Settings,
        poster: Poster,
        counters: Counters,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Begin without posted Events. `uniform` draws how long to wait after the API server rejects an Event."""
        self._uniform = uniform
        self._settings, self._poster, self._counters = settings, poster, counters
        limits = settings.event_limits
        self._node = Bucket(limits.refusal_burst, limits.refusal_rate, limits.refusal_burst, 0.0)
        self._pods = PodBuckets(limits.pod_burst, limits.pod_rate)
        self._reported: dict[str, None] = {}
        self._under_way: set[str] = set()
        self._rejected: dict[str, tuple[float, Backoff]] = {}
        self._holding: dict[str, _Holding] = {}
        self._served: dict[str, int] = {}
        self._turn = 0
        self._now = 0.0

    @property
    def reported(self) -> tuple[str, ...]:
        """The names of the posted Events, for the checkpoint."""
        return tuple(self._reported)

    def restore(self, reported: Iterable[str]) -> None:
        """Take over the names from the checkpoint."""
        self._reported |= dict.fromkeys(reported)

    def report(self, assignments: Iterable[Assignment], now: float) -> float | None:
        """Post the refusals that were not reported yet. Return the seconds until the next try, or None."""
        self._now = now
        self._update(assignments)
        refusals = {name: each for holding in self._holding.values() for name, each in holding.refusals.items()}
        self._reported = {name: None for name in self._reported if name in refusals}
        self._rejected = {name: waiting for name, waiting in self._rejected.items() if name in refusals}
        if self._poster.failing:
            return None
        unreported = [name for name in refusals if name not in self._reported and name not in self._under_way]
        namespaces = {holding.assignment.namespace for holding in self._holding.values()}
        self._served = {name: turn for name, turn in self._served.items() if name in namespaces}
        waiting = in_turns(unreported, lambda name: refusals[name][0].namespace, self._served)
        return self._post_in_turn([(name, *refusals[name]) for name in waiting], now)

    def _post_in_turn(self, waiting: Iterable[tuple[str, Assignment, Refusal | Unread]], now: float) -> float | None:
        waits: list[float] = []
        for each in waiting:
            if (wait_for_node := self._node.wait(now)) > 0:
                return wait_for_node
            if (wait := self._post(*each, now)) is not None:
                waits.append(wait)
        return min(waits, default=None)

    def _update(self, assignments: Iterable[Assignment]) -> None:
        """Name the refusals of new assignments. The others keep their names."""
        before = self._holding
        self._holding = {a.pod_uid: _held(a, before.get(a.pod_uid)) for a in assignments if _notices(a)}

    def _post(self, name: str, assignment: Assignment, refusal: Refusal | Unread, now: float) -> float | None:
        pod = self._pods.of(assignment.pod_uid, now)
        not_before = self._rejected[name][0] if name in self._rejected else now
        wait = max(not_before - now, self._node.wait(now), pod.wait(now))
        if wait > 0:
            return wait
        for bucket in (self._node, pod):
            bucket.take(now)
        self._turn += 1
        self._served[assignment.namespace] = self._turn
        self._under_way.add(name)
        event = event_of(name, assignment, refusal, self._settings.node, time.time_ns())
        self._poster.submit(post(event, partial(self._posted, name, _reason(refusal))))
        return None

    def _posted(self, name: str, reason: EventReason, outcome: Outcome) -> None:
        self._under_way.discard(name)
        _, backoff = self._rejected.pop(name, (0.0, Backoff(self._uniform, self._settings.retry_refused)))
        if outcome.kind in ("rejected", "unsent"):
            why = outcome.sentence or "requests to its namespace take too long"
            log.warning("Event %s is not posted yet and will be tried again: %s", name, why)
            self._rejected[name] = self._now + backoff.failed(), backoff
            return
        self._counters.event(reason, "posted" if outcome.kind == "done" else "given_up")
        self._reported[name] = None


def _notices(assignment: Assignment) -> tuple[Refusal | Unread, ...]:
    return (*assignment.refusals, *assignment.unread)


def _held(assignment: Assignment, before: _Holding | None) -> _Holding:
    if before and before.assignment is assignment:
        return before
    return _Holding(assignment, {name_of(assignment, each): (assignment, each) for each in _notices(assignment)})


def name_of(assignment: Assignment, refusal: Refusal | Unread) -> str:
    """Return the name of the Event. It depends on pod, annotation or field, value and message."""
    where = (refusal.annotation, refusal.value) if isinstance(refusal, Refusal) else (refusal.field,)
    content = "\0".join((assignment.pod_uid, *where, refusal.message))
    return named_for(assignment.pod_name, hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def event_of(name: str, assignment: Assignment, refusal: Refusal | Unread, node: str, time_ns: int) -> dict[str, Any]:
    """Return the Event. Pure."""
    event: dict[str, Any] = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": assignment.namespace},
        "eventTime": micro_time(time_ns),
        "type": "Warning",
        "reason": _reason(refusal),
        "action": "Resolve",
        "reportingController": CONTROLLER,
        "reportingInstance": node[:INSTANCE_LENGTH],
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": assignment.namespace,
            "name": assignment.pod_name,
            "uid": assignment.pod_uid,
        },
        "note": _note(assignment, refusal),
    }
    if assignment.policy:
        related = {"apiVersion": API_VERSION, "kind": "OOMPolicy", "name": assignment.policy}
        event["related"] = related | ({"uid": assignment.policy_uid} if assignment.policy_uid else {})
    return event


def _reason(refusal: Refusal | Unread) -> EventReason:
    return EventReason.ANNOTATION_REFUSED if isinstance(refusal, Refusal) else EventReason.POD_FIELD_UNREADABLE


def _note(assignment: Assignment, refusal: Refusal | Unread) -> str:
    if isinstance(refusal, Refusal):
        asked = f"{refusal.annotation}: {clip(refusal.value, _SHORT)!r}"
        wrong = f"annotation {asked} is refused: {refusal.message}"
    else:
        wrong = f"{refusal.field} is ignored because it cannot be read: {clip(refusal.message, _SHORT)}"
    kept = f"the pod has priority {assignment.priority} from {assignment.reason}"
    more = f"; {assignment.more_refusals} more annotations are refused" if assignment.more_refusals else ""
    return fit_bytes(printable(f"{wrong}; {kept}{more}"), NOTE_BYTES)
