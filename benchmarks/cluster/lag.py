# SPDX-License-Identifier: Apache-2.0
"""How long the operator takes to count a change: as its own histogram has it, and as seen from outside.

From outside, a pod gets or loses the mark that one policy matches by. The time runs from the API server's answer to
the first metrics that count the pod, and so includes the watch, which the operator cannot time itself.
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
LOOK_EVERY: Final = 0.02
PAUSE: Final = 0.1
TOO_LONG: Final = 60.0
MERGE_PATCH: Final = "application/merge-patch+json"


class Histogram:
    """The operator's lag since this was made."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._before = controller.buckets(LAG)

    def percentile(self, share: float) -> float:
        """The upper end of the bucket that it is in, in seconds. RuntimeError where nothing was counted."""
        counts = {end: count - self._before.get(end, 0.0) for end, count in self._controller.buckets(LAG).items()}
        total = max(counts.values())
        if not total:
            raise RuntimeError("the operator has counted no change")
        return min(end for end, count in counts.items() if count >= share * total)


def probe(connection: Connection, controller: Controller, pods: Sequence[int], stop: threading.Event) -> list[float]:
    """Mark and unmark these pods in turn until told to stop; seconds each. RuntimeError: a change is not counted."""
    lags: list[float] = []
    count = matched(controller)
    if count is None:
        raise RuntimeError("the operator does not count marked pods")
    changes = ((number, mark) for mark in itertools.cycle(("yes", None)) for number in pods)
    while not stop.is_set():
        number, marked = next(changes)
        mark(connection, number, marked)
        count += 1 if marked else -1
        lags.append(seen(controller, count))
        time.sleep(PAUSE)
    for number in pods:
        mark(connection, number, None)
    return lags


def mark(connection: Connection, number: int, marked: str | None) -> None:
    """Give a pod the mark, or take it away."""
    body = {"metadata": {"labels": {MARK: marked}}}
    connection.request("PATCH", pod_path(number), body=body, content_type=MERGE_PATCH)


def seen(controller: Controller, wanted: float) -> float:
    """Seconds until so many marked pods are counted."""
    started = time.monotonic()
    while matched(controller) != wanted:
        if time.monotonic() - started > TOO_LONG:
            raise RuntimeError(f"{wanted:.0f} marked pods are not counted after {TOO_LONG:.0f} s")
        time.sleep(LOOK_EVERY)
    return time.monotonic() - started


def matched(controller: Controller) -> float | None:
    """How many marked pods the operator counts; `None`: it does not say."""
    return controller.metric(MATCHED, policy=MARKED)
