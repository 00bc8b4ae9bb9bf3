# SPDX-License-Identifier: Apache-2.0
"""Order the items of several owners so that no owner waits for all items of another. Pure."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

_NEVER = -1


def in_turns(items: Iterable[T], owner: Callable[[T], str], served: Mapping[str, int] | None = None) -> list[T]:
    """Return the first item of each owner, then the second of each, and so on. The items of an owner keep their order.

    `served` has the last turn of each owner as a growing number. The owner that waits longest comes first.
    """
    last = served or {}
    ranks: Counter[str] = Counter()
    ranked: list[tuple[int, int, T]] = []
    for item in items:
        name = owner(item)
        ranked.append((ranks[name], last.get(name, _NEVER), item))
        ranks[name] += 1
    return [item for *_, item in sorted(ranked, key=itemgetter(0, 1))]
