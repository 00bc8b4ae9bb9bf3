# SPDX-License-Identifier: Apache-2.0
"""How long the path takes, by this machine's clock alone. Every time begins before its cause and ends after its effect.

A label change: from the moment that the request to change it is sent, to the answer of the guest, which looks at its
map once a millisecond. A kill: from the order to a process at its limit to allocate more, to the Event in a watch.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tests.node.kubelet import NODE_NAME, Pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.endtoend.scene import Scene

MAX_PODS = 110
"""kubelet's default."""

PRIORITIES = {"gold": 900, "lead": 100}
LIMIT_MIB = 6


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many per cent of all values do not exceed."""
    ranked = sorted(values)
    return ranked[max(1, math.ceil(len(ranked) * percent / 100)) - 1]


def summary(seconds: Sequence[float]) -> str:
    """Count, median and p99."""
    middle, high = (percentile(seconds, percent) * 1000 for percent in (50, 99))
    return f"{len(seconds)} times, median {middle:.0f} ms, p99 {high:.0f} ms"


def crowd(scene: Scene) -> list[Pod]:
    """Fill the node up to as many pods as a kubelet takes, and two policies that tell them apart by label."""
    scene.namespace("crowd")
    for name, priority in PRIORITIES.items():
        scene.policy(name, match={"podSelector": {"matchLabels": {"class": name}}}, priority={"value": priority})
    there = len(scene.api.list("Pod", fieldSelector=f"spec.nodeName={NODE_NAME}"))
    pods = [Pod(f"web-{number}", "crowd", labels={"class": "gold"}) for number in range(MAX_PODS - there)]
    running = scene.run_pods(*pods)
    for pod in running:
        scene.installation.await_priority(pod, PRIORITIES["gold"])
    return running


def orders(scene: Scene, count: int) -> Iterator[float]:
    """Seconds of an order that takes the guest no time: what the way there and back adds to the others."""
    for _ in range(count):
        started = time.monotonic()
        scene.guest.order("killed")
        yield time.monotonic() - started


def label_changes(scene: Scene, pods: Sequence[Pod], count: int) -> Iterator[float]:
    """Seconds from a changed label to the changed entry in the guest's map, so many times, pod after pod."""
    guest = scene.guest
    for number in range(count):
        pod = pods[number % len(pods)]
        name = ("lead", "gold")[number // len(pods) % 2]
        guest.begin("await_priority", uid=pod.uid, container="app", wanted=PRIORITIES[name], patience=30.0)
        started = time.monotonic()
        scene.installation.label(pod, {"class": name})
        if not guest.answer():
            raise AssertionError(f"{pod.name} did not become {name}")
        yield time.monotonic() - started


def kills(scene: Scene, pods: Sequence[Pod], count: int) -> Iterator[float]:
    """Seconds from a process that goes beyond its limit to the Event on its pod, so many times, pod after pod."""
    for number in range(count):
        pod = pods[number % len(pods)]
        scene.guest.order("limit", uid=pod.uid, container="app", mib=LIMIT_MIB)
        pid = scene.start(pod, LIMIT_MIB // 2)
        started = time.monotonic()
        scene.exhaust("overrun", uid=pod.uid, container="app", mib=LIMIT_MIB)
        yield scene.event_of(pid).at - started
