# SPDX-License-Identifier: Apache-2.0
"""The duration of the path by this machine's clock. Each time begins before its cause and ends after its effect.

The time of a label change begins when the test sends the request for it. It ends with the answer of the guest, which
reads its map once a millisecond. The time of a kill begins with the order that makes a process at its limit allocate
more. It ends with the Event in a watch.
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
"""The kubelet's default."""

PRIORITIES = {"gold": 900, "lead": 100}
LIMIT_MIB = 6


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` per cent of all values do not exceed."""
    ranked = sorted(values)
    return ranked[max(1, math.ceil(len(ranked) * percent / 100)) - 1]


def summary(seconds: Sequence[float]) -> str:
    """Return count, median and p99 as text."""
    middle, high = (percentile(seconds, percent) * 1000 for percent in (50, 99))
    return f"{len(seconds)} times, median {middle:.0f} ms, p99 {high:.0f} ms"


def crowd(scene: Scene) -> list[Pod]:
    """Fill the node to the kubelet's maximum of pods, and create two policies that distinguish them by label."""
    scene.namespace("crowd")
    for name, priority in PRIORITIES.items():
        scene.policy(name, match={"podSelector": {"matchLabels": {"class": name}}}, priority={"value": priority})
    existing = len(scene.api.list("Pod", fieldSelector=f"spec.nodeName={NODE_NAME}"))
    pods = [Pod(f"web-{number}", "crowd", labels={"class": "gold"}) for number in range(MAX_PODS - existing)]
    running = scene.run_pods(*pods)
    for pod in running:
        scene.installation.await_priority(pod, PRIORITIES["gold"])
    return running


def orders(scene: Scene, count: int) -> Iterator[float]:
    """Yield the seconds of an order without work: this is the part of the way there and back in the other times."""
    for _ in range(count):
        started = time.monotonic()
        scene.guest.order("killed")
        yield time.monotonic() - started


def label_changes(scene: Scene, pods: Sequence[Pod], count: int) -> Iterator[float]:
    """Yield `count` times the seconds from a changed label to the changed entry in the guest's map, pod after pod."""
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


def mode_changes(scene: Scene, count: int) -> Iterator[float]:
    """Yield `count` times the seconds from a changed OOMSettings to the changed mode of the programs in the guest."""
    for number in range(count):
        mode = ("Audit", "Off", "Enforce")[number % 3]
        scene.guest.begin("await_mode", wanted=mode, patience=30.0)
        started = time.monotonic()
        scene.api.patch("OOMSettings", "cluster", {"spec": {"mode": mode}})
        if not scene.guest.answer():
            raise AssertionError(f"the mode did not become {mode}")
        yield time.monotonic() - started
    scene.api.patch("OOMSettings", "cluster", {"spec": {"mode": "Enforce"}})
    scene.guest.order("await_mode", wanted="Enforce", patience=30.0)


def kills(scene: Scene, pods: Sequence[Pod], count: int) -> Iterator[float]:
    """Yield `count` times the seconds from a process that exceeds its limit to the Event on its pod, pod after pod."""
    for number in range(count):
        pod = pods[number % len(pods)]
        scene.guest.order("limit", uid=pod.uid, container="app", mib=LIMIT_MIB)
        pid = scene.start(pod, LIMIT_MIB // 2)
        started = time.monotonic()
        scene.first_victim("overrun", uid=pod.uid, container="app", mib=LIMIT_MIB)
        yield scene.event_of(pid).at - started
