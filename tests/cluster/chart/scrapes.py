# SPDX-License-Identifier: Apache-2.0
"""The series that Prometheus records from texts of /metrics, in the notation of promtool."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    Series = tuple[str, tuple[tuple[str, str], ...]]


class Scrapes:
    """All scrapes since the beginning, one every INTERVAL seconds."""

    INTERVAL = 30
    """The default of the chart's `podMonitor.interval`."""

    def __init__(self) -> None:
        self._count = 0
        self._series: dict[Series, dict[int, float]] = {}

    @property
    def seconds(self) -> int:
        """The time of the last scrape. The time of the first is 0."""
        return (self._count - 1) * self.INTERVAL

    def add(self, pods: Mapping[tuple[str, str], bytes]) -> None:
        """Record one scrape: the text of each pod that answered, by the labels `node` and `pod` of the PodMonitor."""
        for (node, pod), text in pods.items():
            for (name, labels), value in _samples(text):
                series = name, (*labels, ("node", node), ("pod", pod))
                self._series.setdefault(series, {})[self._count] = value
        self._count += 1

    def input_series(self) -> list[dict[str, str]]:
        """Return all series. Where a pod did not answer, Prometheus marks its series as stale."""
        return [
            {"series": f"{name}{{{_inside(labels)}}}", "values": " ".join(self._values(values))}
            for (name, labels), values in self._series.items()
        ]

    def _values(self, values: Mapping[int, float]) -> list[str]:
        first = min(values)
        return ["_" if step < first else str(values.get(step, "stale")) for step in range(self._count)]


@cache
def _samples(text: bytes) -> list[tuple[Series, float]]:
    """Return the samples of a text. Parsing is slow, and most texts are the same as those of the scrape before."""
    families = text_string_to_metric_families(text.decode())
    return [((each.name, tuple(each.labels.items())), each.value) for family in families for each in family.samples]


def _inside(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels)
