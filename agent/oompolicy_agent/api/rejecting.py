# SPDX-License-Identifier: Apache-2.0
"""Holds the names of the Events that a namespace rejects, and decides when to try each of them again.

Users of a namespace can have its Events rejected by an admission policy or a webhook. That must not delay the Events
of other namespaces. So at most one Event of all rejecting namespaces is under way, and it takes its token from a bucket
of its own. A namespace counts as rejecting until it accepts an Event that it rejected, or none of its Events waits.
No I/O and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oompolicy.kube.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy_agent.api.limits import Bucket
    from oompolicy_agent.victims.report import Key

MAX_REJECTED: Final = 8
"""The number of rejected Events from which the untried Events of the namespace wait until `not_before` as well."""
_NAMED: Final = 3
"""The number of namespaces that a problem names."""


@dataclass(slots=True)
class _Namespace:
    """The waiting Events of one namespace.

    `news` were not tried yet. `rejected` were tried, the longest ago first, and wait until `not_before`.
    """

    backoff: Backoff
    sentence: str = ""
    not_before: float = 0.0
    news: dict[str, Key] = field(default_factory=dict)
    rejected: dict[str, Key] = field(default_factory=dict)

    def due(self) -> float:
        """Return the time at which an Event of the namespace may be tried."""
        return 0.0 if self.news and len(self.rejected) < MAX_REJECTED else self.not_before


class RejectingNamespaces:
    """All namespaces that reject Events. `now` is in seconds of a clock that only runs forward."""

    def __init__(self, bucket: Bucket, longest: float, uniform: Callable[[float, float], float]) -> None:
        """Begin without rejected Events. `longest` is the longest delay between two tries, in seconds."""
        self._bucket, self._longest, self._uniform = bucket, longest, uniform
        self._namespaces: dict[str, _Namespace] = {}
        self._trying, self._retrying = "", False

    def __bool__(self) -> bool:
        """Return True if a namespace rejects Events."""
        return bool(self._namespaces)

    @property
    def problem(self) -> str | None:
        """A sentence while Events are rejected, or None."""
        if not self._namespaces:
            return None
        waiting = sum(len(each.news) + len(each.rejected) for each in self._namespaces.values()) + bool(self._trying)
        named = ", ".join(sorted(self._namespaces)[:_NAMED])
        more = f" and {len(self._namespaces) - _NAMED} more" if len(self._namespaces) > _NAMED else ""
        sentence = next((each.sentence for each in self._namespaces.values() if each.sentence), "")
        return (
            f"the API server refuses {waiting} Events, which stay spooled: {sentence}; "
            f"namespaces that refuse: {named}{more}"
        )

    def is_rejecting(self, namespace: str) -> bool:
        """Return True if an Event that this namespace rejected, or that waits behind one, is still waiting."""
        return namespace in self._namespaces

    def is_tried(self, name: str) -> bool:
        """Return True if it is the turn of this report."""
        return bool(name) and name == self._trying

    def not_before(self, namespace: str) -> float:
        """Return the time from which requests to this namespace need no turn."""
        found = self._namespaces.get(namespace)
        return found.not_before if found else 0.0

    def park(self, namespace: str, name: str, key: Key) -> None:
        """Let a report that was not sent wait until `next` returns its name."""
        self._settle(name)
        self._of(namespace).news[name] = key

    def reject(self, namespace: str, name: str, key: Key, sentence: str, now: float) -> None:
        """Let a report that was rejected wait for its next try."""
        self._settle(name)
        self.close(namespace, sentence, now)
        self._of(namespace).rejected[name] = key

    def close(self, namespace: str, sentence: str, now: float) -> None:
        """Extend the delay between the tries of a namespace."""
        found = self._of(namespace)
        found.sentence = sentence or found.sentence
        # Events that were under way together count as one failure.
        if found.not_before <= now:
            found.not_before = now + found.backoff.failed()

    def accept(self, namespace: str, name: str, key: Key | None, now: float) -> tuple[str, ...]:
        """Note that an Event of the namespace was accepted or given up. Return the reports that need not wait any more.

        These are the reports with the same `key`, which one series can count. If the Event had been rejected before,
        they are all reports of the namespace.
        """
        recovered = self.is_tried(name) and self._retrying
        self._settle(name)
        found = self._namespaces.get(namespace)
        if found is None:
            return ()
        found.backoff.succeeded()
        found.not_before = now
        waiting = found.rejected | found.news
        released = tuple(each for each, its in waiting.items() if recovered or its == key)
        self.forget(released)
        self._prune(namespace)
        return released

    def next(self, now: float) -> str:
        """Return the name of the report to try now, or an empty string."""
        if self._trying or self._bucket.wait(now):
            return ""
        for namespace, found in self._namespaces.items():
            if (found.news or found.rejected) and found.due() <= now:
                self._bucket.take(now)
                # The namespace moves to the end, so that the next turn belongs to another one.
                self._namespaces[namespace] = self._namespaces.pop(namespace)
                self._retrying = bool(found.rejected) and found.not_before <= now
                names = found.rejected if self._retrying else found.news
                self._trying = next(iter(names))
                del names[self._trying]
                return self._trying
        return ""

    def wait(self, now: float) -> float | None:
        """Return the seconds until `next` returns a name. Return None if no report waits, or one is under way."""
        due = [found.due() for found in self._namespaces.values() if found.news or found.rejected]
        return None if self._trying or not due else max(0.0, min(due) - now, self._bucket.wait(now))

    def forget(self, names: Iterable[str]) -> None:
        """Drop reports that will not be offered again."""
        for name in names:
            self._settle(name)
            for namespace, found in tuple(self._namespaces.items()):
                if name in found.news or name in found.rejected:
                    found.news.pop(name, None)
                    found.rejected.pop(name, None)
                    self._prune(namespace)

    def _settle(self, name: str) -> None:
        if self.is_tried(name):
            self._trying = ""

    def _of(self, namespace: str) -> _Namespace:
        return self._namespaces.setdefault(namespace, _Namespace(Backoff(self._uniform, self._longest)))

    def _prune(self, namespace: str) -> None:
        found = self._namespaces.get(namespace)
        if found and not found.news and not found.rejected:
            del self._namespaces[namespace]
