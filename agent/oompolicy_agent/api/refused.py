# SPDX-License-Identifier: Apache-2.0
"""Holds what namespaces refuse, by its name only, and says when to try which of it again.

Anybody with a say in a namespace may have its Events refused, by an admission policy or a webhook. That must cost the
others nothing: of all namespaces that refused, one Event at a time is under way, paid for by a bucket of their own.
A namespace is as any other again when it takes what it refused before, or nothing of it waits. No I/O and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oompolicy_agent.api.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy_agent.api.limits import Bucket
    from oompolicy_agent.victims.report import Key

MAX_REFUSED: Final = 8
"""Events that a namespace refuses, and that hold up none of its others; beyond them it is asked now and then."""
_NAMED: Final = 3
"""Namespaces named in a problem."""


@dataclass(slots=True)
class _Namespace:
    """`news` were not tried yet, `refused` were, the longest ago first; what it refused waits until `not_before`."""

    backoff: Backoff
    sentence: str = ""
    not_before: float = 0.0
    news: dict[str, Key] = field(default_factory=dict)
    refused: dict[str, Key] = field(default_factory=dict)

    def due(self) -> float:
        """When something of it may be tried, in seconds of the loop's clock."""
        return 0.0 if self.news and len(self.refused) < MAX_REFUSED else self.not_before


class Refused:
    """All namespaces that refuse Events. `now` is in seconds of a clock that only runs forward."""

    def __init__(self, bucket: Bucket, longest: float, uniform: Callable[[float, float], float]) -> None:
        """Nobody refuses anything. `longest`: seconds between two tries, in the end."""
        self._bucket, self._longest, self._uniform = bucket, longest, uniform
        self._namespaces: dict[str, _Namespace] = {}
        self._trying, self._again = "", False

    def __bool__(self) -> bool:
        """Whether anything is refused."""
        return bool(self._namespaces)

    @property
    def problem(self) -> str:
        """A sentence while anything is refused, or empty."""
        if not self._namespaces:
            return ""
        waiting = sum(len(each.news) + len(each.refused) for each in self._namespaces.values()) + bool(self._trying)
        named = ", ".join(sorted(self._namespaces)[:_NAMED])
        more = f" and {len(self._namespaces) - _NAMED} more" if len(self._namespaces) > _NAMED else ""
        sentence = next((each.sentence for each in self._namespaces.values() if each.sentence), "")
        return (
            f"the API server refuses {waiting} Events, which stay spooled: {sentence}; "
            f"namespaces that refuse: {named}{more}"
        )

    def doubts(self, namespace: str) -> bool:
        """Whether this namespace refused something that still waits."""
        return namespace in self._namespaces

    def is_tried(self, name: str) -> bool:
        """Whether it is this one's turn."""
        return bool(name) and name == self._trying

    def not_before(self, namespace: str) -> float:
        """When this namespace may be asked for something that no bucket pays for."""
        found = self._namespaces.get(namespace)
        return found.not_before if found else 0.0

    def park(self, namespace: str, name: str, key: Key) -> None:
        """This report has not been sent; it is told by `next` when it is its turn."""
        self._settle(name)
        self._of(namespace).news[name] = key

    def refuse(self, namespace: str, name: str, key: Key, sentence: str, now: float) -> None:
        """This report was refused."""
        self._settle(name)
        self.close(namespace, sentence, now)
        self._of(namespace).refused[name] = key

    def close(self, namespace: str, sentence: str, now: float) -> None:
        """Ask this namespace less often."""
        found = self._of(namespace)
        found.sentence = sentence or found.sentence
        # What was under way together was refused once.
        if found.not_before <= now:
            found.not_before = now + found.backoff.failed()

    def accept(self, namespace: str, name: str, key: Key | None, now: float) -> tuple[str, ...]:
        """This namespace took something: what need not wait any more, such as what the same series can count."""
        mended = self.is_tried(name) and self._again
        self._settle(name)
        found = self._namespaces.get(namespace)
        if found is None:
            return ()
        found.backoff.succeeded()
        found.not_before = now
        waiting = found.refused | found.news
        released = tuple(each for each, its in waiting.items() if mended or its == key)
        self.forget(released)
        self._prune(namespace)
        return released

    def next(self, now: float) -> str:
        """The name of one to try now, or empty."""
        if self._trying or self._bucket.wait(now):
            return ""
        for namespace, found in self._namespaces.items():
            if (found.news or found.refused) and found.due() <= now:
                self._bucket.take(now)
                # The next turn is another namespace's.
                self._namespaces[namespace] = self._namespaces.pop(namespace)
                self._again = bool(found.refused) and found.not_before <= now
                names = found.refused if self._again else found.news
                self._trying = next(iter(names))
                del names[self._trying]
                return self._trying
        return ""

    def wait(self, now: float) -> float | None:
        """Seconds until `next` has one, or None if there is none or one is under way."""
        due = [found.due() for found in self._namespaces.values() if found.news or found.refused]
        return None if self._trying or not due else max(0.0, min(due) - now, self._bucket.wait(now))

    def forget(self, names: Iterable[str]) -> None:
        """These are not offered again."""
        for name in names:
            self._settle(name)
            for namespace, found in tuple(self._namespaces.items()):
                if name in found.news or name in found.refused:
                    found.news.pop(name, None)
                    found.refused.pop(name, None)
                    self._prune(namespace)

    def _settle(self, name: str) -> None:
        if self.is_tried(name):
            self._trying = ""

    def _of(self, namespace: str) -> _Namespace:
        return self._namespaces.setdefault(namespace, _Namespace(Backoff(self._uniform, self._longest)))

    def _prune(self, namespace: str) -> None:
        found = self._namespaces.get(namespace)
        if found and not found.news and not found.refused:
            del self._namespaces[namespace]
