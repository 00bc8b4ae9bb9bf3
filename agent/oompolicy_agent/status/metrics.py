# SPDX-License-Identifier: Apache-2.0
"""Make the text of /metrics when it is requested.

Only an agent with `--listen` imports this module, because prometheus_client costs memory.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from oompolicy.model import QOSClass
from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.status.counters import EventOutcome, namespace_and_policy, with_zeros
from oompolicy_agent.status.reasons import Comparison, EventReason, Reason, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from oompolicy_agent.status.counters import CollectionState, Counters, Histogram
    from oompolicy_agent.status.document import View

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

# Every combination of labels exists from the start. Otherwise increase() does not see the first kill, because a series
# that begins at 1 does not increase.
_VICTIMS: Final = dict.fromkeys(product(get_args(Scope), [*map(str, QOSClass), "None"]), 0)
_EVENTS: Final = dict.fromkeys(product(map(str, EventReason), get_args(EventOutcome)), 0)

_CHOICES: Final = dict.fromkeys(product((Mode.ENFORCE, Mode.AUDIT), map(str, Comparison)), 0)

_LOST: Final = "Records that were lost because a ring buffer was full, or because the kernel's log was overwritten"
_DROPS: Final = {"events": Stat.VICTIMS_DROPPED, "cgroups": Stat.CGROUPS_DROPPED}


class Metrics:
    """A collector that the server's thread calls. The objects that `view` and `followed` return never change."""

    def __init__(
        self, counters: Counters, view: Callable[[], View], followed: Callable[[], Mapping[str, CollectionState]]
    ) -> None:
        """Take the counters, and functions that return the view and the state of each followed collection."""
        self._counters, self._view, self._followed = counters, view, followed
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all metrics in the format of `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        view = self._view()
        yield from _state(view)
        yield from _kernel(view)
        yield from _counted(self._counters)
        yield _misses(self._counters)
        yield _by_namespace(self._counters, view)
        yield from _following(self._followed())


def _state(view: View) -> Iterable[Metric]:
    live = sum(not pod.finished for pod in view.pods)
    for name, text, value in (
        ("pods", "Pods of this node that are not finished", live),
        ("pods_not_mapped", "Pods without a cgroup, which have no entries", len(view.not_mapped)),
        ("claims_refused", "Pods whose claim to the cgroup of another pod is refused", view.claims_refused),
        ("annotations_refused", "Refused annotations of pods", view.annotations_refused),
        ("map_entries", "Entries of the map", view.entries),
        ("map_entries_missing", "Entries that are missing because the map is full", view.entries_missing),
        ("ready", "Whether /readyz is 200", not view.reasons),
        ("circuit_open", "Whether the node audits because the policies chose too many victims", bool(view.circuit)),
        ("spool_victims", "Victims that wait to be reported", view.spooled),
    ):
        yield GaugeMetricFamily(f"oompolicy_agent_{name}", text, float(value))
    attached = GaugeMetricFamily(
        "oompolicy_agent_attached",
        "Whether the backend works: the kernel calls the loader's program, or the adjuster keeps scores",
        labels=["backend", "hook"],
    )
    attachment = view.attachment
    called = not attachment.problem and not attachment.disabled
    works = view.scores.working if view.scores else called
    attached.add_metric([view.backend or "None", attachment.hook or "None"], float(works))
    yield attached
    yield _proven(view)
    yield from _order(view)
    mode = GaugeMetricFamily("oompolicy_agent_mode", "1 for the mode of the node", labels=["mode"])
    for each in Mode:
        mode.add_metric([each], float(each is view.mode))
    yield mode
    dropped = "Victims that were not reported because the spool was full or a file was unreadable"
    yield CounterMetricFamily("oompolicy_agent_spool_dropped", dropped, float(view.spool_dropped))


def _proven(view: View) -> Metric:
    text = "Whether the loader's proof has shown that the kernel follows priorities, by the reason of the condition"
    family = GaugeMetricFamily("oompolicy_agent_proven", text, labels=["reason"])
    reason = view.attachment.proof.reason if view.attachment.proof else Reason.NOT_PROVED
    family.add_metric([reason], float(reason is ProofReason.PROVED))
    return family


def _order(view: View) -> Iterable[Metric]:
    """Yield the margin, which has no sample without an order."""
    text = "Memory that a container may take between two looks of the adjuster without dying too early"
    family = GaugeMetricFamily("oompolicy_agent_order_margin_bytes", text)
    if view.scores and view.scores.order.margin is not None:
        family.add_metric([], float(view.scores.order.margin))
    yield family


def _kernel(view: View) -> Iterable[Metric]:
    drops = CounterMetricFamily("oompolicy_agent_ring_buffer_drops", _LOST, labels=["buffer"])
    for buffer, stat in _DROPS.items():
        drops.add_metric([buffer], float(view.counters.get(stat, 0)))
    yield drops
    for name, text, stat in (
        ("selections", "OOMs in which the kernel asked the program", Stat.SELECTIONS),
        ("kernel_victims", "Processes that the OOM killer killed since the maps were created", Stat.VICTIMS),
        ("bypassed", "Processes that the OOM killer killed without asking the program", Stat.BYPASSED),
        ("dying", "Processes that ran out of memory while they were already dying, which are not victims", Stat.DYING),
        ("waits", "Scans without a victim, because the last victim was giving its memory back", Stat.WAITS),
    ):
        yield CounterMetricFamily(f"oompolicy_agent_{name}", text, float(view.counters.get(stat, 0)))


def _counted(counters: Counters) -> Iterable[Metric]:
    for name, text, labels, zeros, counter in (
        ("victims", "Killed processes that this agent named", ["scope", "qos_class"], _VICTIMS, counters.victims),
        ("events", "Events by outcome", ["reason", "outcome"], _EVENTS, counters.events),
        (
            "compared_choices",
            "OOMs by the result of comparing the choices of kernel and policy",
            ["mode", "comparison"],
            _CHOICES,
            counters.choices,
        ),
        ("api_errors", "Requests to the API server that failed", ["request", "status"], {}, counters.errors),
    ):
        family = CounterMetricFamily(f"oompolicy_agent_{name}", text, labels=labels)
        for values, count in {**zeros, **counter}.items():
            family.add_metric(list(values), float(count))
        yield family
    yield _histogram("change_seconds", "Time from the arrival of a change to the write of the map", counters.change_lag)
    yield _histogram("kill_to_event_seconds", "Time from a kill to its Event at the API server", counters.event_lag)


def _misses(counters: Counters) -> Metric:
    text = "Victims that died before a container of a lower priority, on a node with scores"
    return CounterMetricFamily("oompolicy_agent_order_misses", text, float(counters.order_misses))


def _by_namespace(counters: Counters, view: View) -> Metric:
    """Return the victims by namespace and policy. Every pair on this node exists before the first kill."""
    present = (namespace_and_policy(each.namespace, each.policy) for each in view.assignments)
    family = CounterMetricFamily(
        "oompolicy_agent_namespace_victims",
        "Killed processes that this agent named, by namespace",
        labels=["namespace", "policy"],
    )
    for pair, number in with_zeros(counters.namespaces, present).items():
        family.add_metric(pair, float(number))
    return family


def _histogram(name: str, text: str, lags: Histogram) -> Metric:
    below, buckets = 0, []
    for bound, count in zip((*map(str, lags.bounds), "+Inf"), tuple(lags.counts), strict=True):
        below += count
        buckets.append((bound, float(below)))
    return HistogramMetricFamily(f"oompolicy_agent_{name}", text, buckets=buckets, sum_value=lags.sum)


def _following(followed: Mapping[str, CollectionState]) -> Iterable[Metric]:
    for name, text in (
        ("synced", "Whether a complete list was received"),
        ("failing", "Whether the watch fails now"),
        ("quiet_seconds", "Time since the last reply from the API server"),
    ):
        family = GaugeMetricFamily(f"oompolicy_agent_informer_{name}", text, labels=["resource"])
        for resource, state in followed.items():
            family.add_metric([resource], float(getattr(state, name)))
        yield family
