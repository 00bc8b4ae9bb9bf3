# SPDX-License-Identifier: Apache-2.0
"""Changes to pods at a fixed rate, through the API as controllers make them.

The schedule does not wait for answers: what falls behind shows as lateness, not as a lower rate.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from benchmarks.cluster.objects import APPS, POD, pod, pod_path

if TYPE_CHECKING:
    from concurrent.futures import Future

    from oompolicy.kube.connection import Connection

WORKERS: Final = 8
REPLACED: Final = 0.2
"""Of the changes so many delete a pod, and so many create one; the others change a label that policies ask for."""
LEAST_GONE: Final = 20
"""Pods that are away at any time."""
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass
class Done:
    """What was done, and how late."""

    changes: int = 0
    seconds: float = 0.0
    latest: float = 0.0  # seconds behind the schedule, of the change that was latest
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, due: float) -> None:
        """One change has been answered that was due then."""
        with self.lock:
            self.changes += 1
            self.latest = max(self.latest, time.monotonic() - due)


class Churn:
    """The first `pods` of a filled cluster come, go and change."""

    def __init__(self, connection: Connection, pods: int) -> None:
        self._connection = connection
        self._random = random.Random(1)  # noqa: S311 (which pod changes is no secret)
        self._present = list(range(pods))
        self._gone: deque[int] = deque()
        self._template = creatable(yaml.safe_load(POD.read_text()))

    def run(self, seconds: float, rate: float) -> Done:
        """So many changes a second for so long; then pods that are gone come back. ApiError where one is refused."""
        done, started = Done(), time.monotonic()
        with ExitStack() as stack:
            # One thread each, and a pod's changes all in the same: they happen in the order of the schedule.
            workers = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(WORKERS)]
            changes: list[Future[None]] = []
            for number in range(int(seconds * rate)):
                due = started + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                verb, which = self._next()
                changes.append(workers[which % WORKERS].submit(self._change, verb, which, due, done))
        done.seconds = time.monotonic() - started
        for change in changes:
            change.result()
        self._restore()
        return done

    def _restore(self) -> None:
        """Whoever comes next finds all pods."""
        while self._gone:
            self._present.append(self._gone.popleft())
            self._create(self._present[-1])

    def _next(self) -> tuple[str, int]:
        """What to do, and to which pod."""
        drawn = self._random.random()
        if drawn < REPLACED and len(self._gone) > LEAST_GONE:
            self._present.append(self._gone.popleft())
            return "POST", self._present[-1]
        place = self._random.randrange(len(self._present))
        number = self._present[place]
        if drawn < 2 * REPLACED:
            self._present[place] = self._present[-1]
            self._present.pop()
            self._gone.append(number)
            return "DELETE", number
        return "PATCH", number

    def _change(self, verb: str, number: int, due: float, done: Done) -> None:
        path = pod_path(number)
        match verb:
            case "POST":
                self._create(number)
            case "DELETE":
                # No kubelet is there to confirm the end of a pod that is on a node.
                self._connection.request("DELETE", path, query={"gracePeriodSeconds": "0"})
            case _:
                labels = {"app": APPS[int(time.monotonic() * 1e6) % len(APPS)]}
                body = {"metadata": {"labels": labels}}
                self._connection.request("PATCH", path, body=body, content_type=MERGE_PATCH)
        done.add(due)

    def _create(self, number: int) -> None:
        body = {**pod(self._template, number), "status": {}}
        body["metadata"].pop("uid")
        self._connection.request("POST", pod_path(number).rpartition("/")[0], body=body)


def creatable(template: dict[str, Any]) -> dict[str, Any]:
    """Without what only the API server may say."""
    metadata = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
    return {**template, "metadata": metadata}
