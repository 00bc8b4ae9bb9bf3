# SPDX-License-Identifier: Apache-2.0
"""What /metrics says, made when it is asked for. Imported only with `--listen`: prometheus_client costs memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from oompolicy_agent.kernel.layout import Stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from oompolicy_agent.status.counters import CollectionState, Counters, Histogram
    from oompolicy_agent.status.document import View

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_DROPS: Final = {"events": Stat.VICTIMS_DROPPED, "cgroups": Stat.CGROUPS_DROPPED}


class Metrics:
    """A collector, asked from the server's thread: `view` and `followed` give what never changes under its hands."""

    def __init__(
        self, tally: Counters, view: Callable[[], View], followed: Callable[[], Mapping[str, CollectionState]]
    ) -> None:
        """`followed` tells of the API server's collections by name."""
        self._tally, self._view, self._followed = tally, view, followed
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """In the format of `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All metrics."""
        view = self._view()
        yield from _state(view)
        yield from _kernel(view)
        yield from _counted(self._tally)
        yield from _following(self._followed())


def _state(view: View) -> Iterable[Metric]:
    live = sum(not pod.finished for pod in view.pods)
    for name, text, value in (
        ("pods", "Pods of this node that are not finished", live),
        ("pods_not_mapped", "Pods without a cgroup, and so without entries", len(view.not_mapped)),
        ("claims_refused", "Pods that claim the cgroup of another pod, and do not get it", view.claims_refused),
        ("annotations_refused", "Annotations of pods that are not obeyed", view.annotations_refused),
        ("map_entries", "Entries of the map", view.entries),
        ("map_entries_missing", "Entries that a full map has no room for", view.entries_missing),
        ("ready", "Whether /readyz is 200", not view.reasons),
        ("spool_victims", "Victims that are not reported yet", view.spooled),
    ):
        yield GaugeMetricFamily(f"oompolicy_agent_{name}", text, float(value))
    attached = GaugeMetricFamily(
        "oompolicy_agent_attached",
        "Whether the loader's program is attached, and the kernel calls it",
        labels=["backend", "hook"],
    )
    attachment = view.attachment
    called = not attachment.problem and not attachment.disabled
    attached.add_metric([attachment.backend or "None", attachment.hook or "None"], float(called))
    yield attached
    dropped = "Victims that were not reported because the spool was full, or a file unreadable"
    yield CounterMetricFamily("oompolicy_agent_spool_dropped", dropped, float(view.spool_dropped))


def _kernel(view: View) -> Iterable[Metric]:
    drops = CounterMetricFamily(
        "oompolicy_agent_ring_buffer_drops", "Records that had no room in a ring buffer", labels=["buffer"]
    )
    for buffer, stat in _DROPS.items():
        drops.add_metric([buffer], float(view.counters.get(stat, 0)))
    yield drops
    for name, text, stat in (
        ("selections", "OOMs in which the program was asked", Stat.SELECTIONS),
        ("kernel_victims", "Processes that the OOM killer killed since the maps were made", Stat.VICTIMS),
        ("bypassed", "Processes that the OOM killer killed without asking the program", Stat.BYPASSED),
        ("dying", "Processes that ran out of memory while they were dying already, and are no victims", Stat.DYING),
    ):
        yield CounterMetricFamily(f"oompolicy_agent_{name}", text, float(view.counters.get(stat, 0)))


def _counted(tally: Counters) -> Iterable[Metric]:
    for name, text, labels, counter in (
        ("victims", "Processes killed that this agent named", ["scope", "qos_class"], tally.victims),
        ("events", "Events by what became of them", ["reason", "outcome"], tally.events),
        ("api_errors", "Requests to the API server that failed", ["request", "status"], tally.errors),
    ):
        family = CounterMetricFamily(f"oompolicy_agent_{name}", text, labels=labels)
        for values, count in dict(counter).items():
            family.add_metric(list(values), float(count))
        yield family
    yield _histogram("change_seconds", "From a change coming in to the map being written", tally.change_lag)
    yield _histogram("kill_to_event_seconds", "From a kill to its Event at the API server", tally.event_lag)


def _histogram(name: str, text: str, lags: Histogram) -> Metric:
    below, buckets = 0, []
    for bound, count in zip((*map(str, lags.bounds), "+Inf"), tuple(lags.counts), strict=True):
        below += count
        buckets.append((bound, float(below)))
    return HistogramMetricFamily(f"oompolicy_agent_{name}", text, buckets=buckets, sum_value=lags.sum)


def _following(followed: Mapping[str, CollectionState]) -> Iterable[Metric]:
    for name, text in (
        ("synced", "Whether all objects were told once"),
        ("failing", "Whether they cannot be followed right now"),
        ("quiet_seconds", "Since something was heard of them"),
    ):
        family = GaugeMetricFamily(f"oompolicy_agent_informer_{name}", text, labels=["resource"])
        for resource, state in followed.items():
            family.add_metric([resource], float(getattr(state, name)))
        yield family
