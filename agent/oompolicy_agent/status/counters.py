# SPDX-License-Identifier: Apache-2.0
"""The counters and histograms of /metrics. Several threads may use them at once.

They are written by hand because prometheus_client is imported only with `--listen`, and the agent runs without it.
`metrics` turns them into the families of prometheus_client.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.model import QOSClass

NamespaceAndPolicy = tuple[str, str]
EventOutcome = Literal["posted", "counted", "given_up"]

CHANGE_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. The goal is 0.25."""
EVENT_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Seconds. The goal is 1, and an API server can be unreachable for an hour."""


NONE: Final = ("None", "None")
"""The namespace and policy of a process of the host. No object in Kubernetes has a name with a capital letter."""
OTHER: Final = ("Other", "Other")
"""The namespace and policy of victims that are counted together, because `MAX_PAIRS` are counted already."""
MAX_PAIRS: Final = 100
"""The number of pairs of a namespace and a policy with a counter of their own. NONE and OTHER are two of them.

An agent can meet any number of namespaces in its life, for example one for each run of a test. A node has at most 110
pods by default, and their pairs are far fewer.
"""


class CollectionState(NamedTuple):
    """The state of a followed collection. `quiet_seconds` is the time since the last reply."""

    synced: bool
    failing: bool
    quiet_seconds: float


class Histogram:
    """A histogram. The last member of `counts` is for values above all `bounds`."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Take the bounds in seconds. Each bound belongs to the bucket below it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Counters:
    """The counters of an agent. All start at zero with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.victims: Counter[tuple[str, str]] = Counter()
        self.namespaces: Counter[NamespaceAndPolicy] = Counter({NONE: 0, OTHER: 0})
        self.events: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.choices: Counter[tuple[str, str]] = Counter()
        self.order_misses = 0
        self.change_lag = Histogram(CHANGE_BOUNDS)
        self.event_lag = Histogram(EVENT_BOUNDS)

    def victim(self, scope: str, qos_class: QOSClass | None, namespace: str, policy: str) -> None:
        """Count a victim. A process of the host has no QoS class, no namespace and no policy."""
        pair = namespace_and_policy(namespace, policy)
        with self._lock:
            self.victims[scope, qos_class or "None"] += 1
            known = pair in self.namespaces or len(self.namespaces) < MAX_PAIRS
            self.namespaces[pair if known else OTHER] += 1

    def choice(self, mode: str, comparison: str) -> None:
        """Count an OOM in which the program compared the choices of kernel and policy."""
        with self._lock:
            self.choices[mode, comparison] += 1

    def order_miss(self) -> None:
        """Count a victim that died before a container of a lower priority."""
        with self._lock:
            self.order_misses += 1

    def event(self, reason: str, outcome: EventOutcome, count: int = 1) -> None:
        """Count Events that were posted, counted in the series of another Event, or given up."""
        with self._lock:
            self.events[reason, outcome] += count

    def error(self, request: str, status: int | None) -> None:
        """Count a failed request to the API server. The status is None if there was no answer."""
        with self._lock:
            self.errors[request, str(status or "unreachable")] += 1


def namespace_and_policy(namespace: str, policy: str | None) -> NamespaceAndPolicy:
    """Return the labels of a victim of this namespace whose priority is from this policy. Both may be empty."""
    return namespace or NONE[0], policy or NONE[1]


def with_zeros(
    counted: Mapping[NamespaceAndPolicy, int], present: Iterable[NamespaceAndPolicy]
) -> dict[NamespaceAndPolicy, int]:
    """Return the counters, and a zero for each pair that is present on the node, as long as there is room."""
    counters = dict(counted)
    new = sorted(set(present) - counters.keys())[: max(0, MAX_PAIRS - len(counters))]
    return {**dict.fromkeys(new, 0), **counters}
