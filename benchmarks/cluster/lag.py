# SPDX-License-Identifier: Apache-2.0
"""The operator's time to count a change, by its own histogram and from outside.

From outside, a pod gets or loses the label that one policy matches. The time runs from the API server's answer to the
first metrics that count the pod. It includes the watch, which the operator cannot time itself.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from benchmarks.cluster.objects import pod_path
from benchmarks.cluster.policies import MARK, MARKED

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from benchmarks.cluster.controller import Controller
    from oompolicy.kube.connection import Connection

LAG: Final = "oompolicy_operator_lag_seconds"
MATCHED: Final = "oompolicy_policy_matched_pods"
POLL_SECONDS: Final = 0.02
PAUSE: Final = 0.1
TOO_LONG: Final = 60.0
MERGE_PATCH: Final = "application/merge-patch+json"


class Histogram:
    """The operator's lag since the creation of this object."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._before = controller.buckets(LAG)

    def percentile(self, share: float) -> float:
        """Return the upper end of the percentile's bucket, in seconds. RuntimeError: nothing was counted."""
        counts = {end: count - self._before.get(end, 0.0) for end, count in self._controller.buckets(LAG).items()}
        total = max(counts.values())
        if not total:
            raise RuntimeError("the operator has counted no change")
        return min(end for end, count in counts.items() if count >= share * total)


def probe(connection: Connection, controller: Controller, pods: Sequence[int], stop: threading.Event) -> list[float]:
    """Mark and unmark the pods in turn until `stop` is set, and return the seconds of each change.

    RuntimeError: a change is not counted.
    """
    lags: list[float] = []
    count = matched(controller)
    if count is None:
        raise RuntimeError("the operator does not count marked pods")
    changes = ((number, mark) for mark in itertools.cycle(("yes", None)) for number in pods)
    while not stop.is_set():
        number, marked = next(changes)
        mark(connection, number, marked)
        count += 1 if marked else -1
        lags.append(seconds_until_counted(controller, count))
        time.sleep(PAUSE)
    for number in pods:
        mark(connection, number, None)
    return lags


def mark(connection: Connection, number: int, marked: str | None) -> None:
    """Set or remove a pod's mark."""
    body = {"metadata": {"labels": {MARK: marked}}}
    connection.request("PATCH", pod_path(number), body=body, content_type=MERGE_PATCH)


def seconds_until_counted(controller: Controller, wanted: float) -> float:
    """Return the seconds until the operator counts `wanted` marked pods."""
    started = time.monotonic()
    while matched(controller) != wanted:
        if time.monotonic() - started > TOO_LONG:
            raise RuntimeError(f"{wanted:.0f} marked pods are not counted after {TOO_LONG:.0f} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def matched(controller: Controller) -> float | None:
    """Return the number of marked pods that the operator counts, or None if its metrics do not have it."""
    return controller.metric(MATCHED, policy=MARKED)
