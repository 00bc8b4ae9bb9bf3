# SPDX-License-Identifier: Apache-2.0
"""Changes to pods at a fixed rate, through the API as controllers make them.

The schedule does not wait for answers. A change that falls behind is counted as late, and the rate stays.
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
"""The share of changes that delete a pod, and of those that create one. The others change a label of a pod."""
LEAST_GONE: Final = 20
"""Pods are created only while more than so many are deleted."""
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass
class Done:
    """The number of changes and their lateness."""

    changes: int = 0
    seconds: float = 0.0
    latest: float = 0.0  # seconds behind the schedule, the most of all changes
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, due: float) -> None:
        """Count a change that has been answered and was due at `due`."""
        with self.lock:
            self.changes += 1
            self.latest = max(self.latest, time.monotonic() - due)


class Churn:
    """Creates, deletes and changes the first `pods` of a filled cluster."""

    def __init__(self, connection: Connection, pods: int) -> None:
        self._connection = connection
        self._random = random.Random(1)  # noqa: S311 (which pod changes is no secret)
        self._present = list(range(pods))
        self._gone: deque[int] = deque()
        self._template = creatable(yaml.safe_load(POD.read_text()))

    def run(self, seconds: float, rate: float) -> Done:
        """Make `rate` changes a second, and then create the deleted pods again. ApiError: a change is refused."""
        done, started = Done(), time.monotonic()
        with ExitStack() as stack:
            # Each worker has one thread, and one worker makes all changes of a pod. So they keep their order.
            workers = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(WORKERS)]
            changes: list[Future[None]] = []
            for number in range(int(seconds * rate)):
                due = started + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                verb, number_of_pod = self._next()
                worker = workers[number_of_pod % WORKERS]
                changes.append(worker.submit(self._change, verb, number_of_pod, due, done))
        done.seconds = time.monotonic() - started
        for change in changes:
            change.result()
        self._restore()
        return done

    def _restore(self) -> None:
        """Create the deleted pods again."""
        while self._gone:
            self._present.append(self._gone.popleft())
            self._create(self._present[-1])

    def _next(self) -> tuple[str, int]:
        """Return the verb of the next change, and the number of its pod."""
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
                # Without a kubelet, nothing would confirm the end of a pod that is on a node.
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
    """Return the template without the fields that only the API server may set."""
    metadata = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
    return {**template, "metadata": metadata}
