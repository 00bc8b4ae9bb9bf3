# SPDX-License-Identifier: Apache-2.0
"""/metrics has the status in numbers, and counts events since the start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oompolicy.model import Assignment, QOSClass
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.status.counters import MAX_PAIRS, CollectionState, Counters, Histogram
from oompolicy_agent.status.metrics import Metrics
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.victims.naming import qos_class
from oompolicy_agent.victims.record import parse_victim
from tests.unit.agent.fakes import BOOT, pod, record
from tests.unit.agent.status.test_document import GOOD, PROOF

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.kernel.proof import Proof
    from oompolicy_agent.status.document import View


def samples(counters: Counters | None = None, view: View = GOOD, **followed: CollectionState) -> dict[str, float]:
    text = Metrics(counters or Counters(), lambda: view, lambda: followed).text().decode()
    return {
        f"{each.name.removeprefix('oompolicy_agent_')}{list(each.labels.values()) or ''}": each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def assigned(namespace: str, policy: str | None) -> Assignment:
    return Assignment(f"uid-{namespace}", f"uid-{namespace}", namespace, "web-0", 500, "", "default", policy)


def by_namespace(found: Mapping[str, float]) -> dict[str, float]:
    start = "namespace_victims_total"
    return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}


def test_the_nodes_state_is_in_gauges() -> None:
    """The gauges are pods, entries, spool, drops, and whether the node enforces."""
    counters = {Stat.VICTIMS_DROPPED: 3, Stat.SELECTIONS: 4, Stat.DYING: 6}
    view = replace(GOOD, not_mapped=(pod(),), counters=counters, spooled=5)
    found = samples(view=view)
    expected = {
        "pods": 1,
        "pods_not_mapped": 1,
        "map_entries": 5,
        "ready": 1,
        "attached['EvaluateTask', 'Module']": 1,
        "ring_buffer_drops_total['events']": 3,
        "ring_buffer_drops_total['cgroups']": 0,
        "selections_total": 4,
        "dying_total": 6,
        "spool_victims": 5,
        "spool_dropped_total": 2,
    }

    assert expected == {name: found[name] for name in expected}


def test_every_counter_with_known_labels_is_zero_from_the_start() -> None:
    """A series that begins at 1 does not increase for Prometheus, so a dashboard would not show the first kill."""
    view, counters = replace(GOOD, assignments=(assigned("shop", "default"),)), Counters()
    before = samples(view=view)
    counters.victim("Node", QOSClass.BURSTABLE, "shop", "default")
    counters.victim("Container", None, "", "")
    counters.event("OOMVictimKilled", "posted")
    after = samples(counters, view)
    new = {name for name, value in after.items() if value and not before.get(name)}

    assert {"victims_total['Burstable', 'Node']", "victims_total['None', 'Container']"} < new
    assert "events_total['posted', 'OOMVictimKilled']" in new
    assert before.keys() == after.keys()
    assert 6 * 4 == sum(name.startswith("victims_total") for name in before)
    assert 4 * 3 == sum(name.startswith("events_total") for name in before)


def test_a_node_that_does_not_enforce_has_zeros() -> None:
    """Alerts can use the gauges for ready and attached."""
    view = replace(GOOD, attachment=replace(GOOD.attachment, problem="gone"), problems={Reason.NOT_ATTACHED: ("gone",)})
    found = samples(view=view)

    assert (0, 0) == (found["ready"], found["attached['EvaluateTask', 'Module']"])


@pytest.mark.parametrize("reason", ProofReason)
def test_the_result_of_the_proof_is_a_gauge(reason: ProofReason) -> None:
    """Only a proof that has passed has the value 1. The label is the reason of the condition Proven."""
    assert {f"proven['{reason}']": float(reason == "Proved")} == proven(replace(PROOF, reason=reason))


def test_a_node_without_a_proof_is_not_proven() -> None:
    """The loader of an earlier version makes none."""
    assert {"proven['NotProved']": 0.0} == proven(None)


def proven(proof: Proof | None) -> dict[str, float]:
    found = samples(view=replace(GOOD, attachment=replace(GOOD.attachment, proof=proof)))
    return {name: value for name, value in found.items() if name.startswith("proven")}


def test_events_are_counted_by_bounded_labels() -> None:
    """The labels are scopes, QoS classes, answers of the API server, and outcomes of an Event."""
    counters = Counters()
    counters.victim("Node", QOSClass.BURSTABLE, "shop", "default")
    counters.victim("Node", QOSClass.BURSTABLE, "shop", "default")
    counters.victim("Other", None, "", "")
    counters.event("OOMVictimKilled", "counted", 7)
    counters.error("event", None)
    counters.error("status", 403)
    found = samples(counters)
    expected = {
        "victims_total['Burstable', 'Node']": 2,
        "victims_total['None', 'Other']": 1,
        "events_total['counted', 'OOMVictimKilled']": 7,
        "api_errors_total['event', 'unreachable']": 1,
        "api_errors_total['status', '403']": 1,
    }

    assert expected == {name: found[name] for name in expected}


def test_a_namespace_is_zero_before_the_first_kill_in_it() -> None:
    """The pods of the node give the namespaces and the policies. A process of the host has neither."""
    counters = Counters()
    view = replace(GOOD, assignments=(assigned("shop", "databases"), assigned("shop", None), assigned("blog", None)))
    before = by_namespace(samples(counters, view))
    counters.victim("Node", QOSClass.BURSTABLE, "shop", "databases")
    counters.victim("Node", None, "", "")

    pairs = ["['shop', 'databases']", "['shop', 'None']", "['blog', 'None']", "['None', 'None']", "['Other', 'Other']"]
    assert dict.fromkeys(pairs, 0) == before
    assert {**before, pairs[0]: 1, pairs[3]: 1} == by_namespace(samples(counters, view))


def test_more_namespaces_than_the_limit_are_counted_together() -> None:
    """A counter that exists keeps counting, no victim is lost, and namespaces without a victim find no room."""
    counters = Counters()
    for number in range(2 * MAX_PAIRS):
        counters.victim("Node", QOSClass.BURSTABLE, f"run-{number}", "tests")
    counters.victim("Node", QOSClass.BURSTABLE, "run-0", "tests")
    found = by_namespace(samples(counters, replace(GOOD, assignments=(assigned("late", None),))))

    assert MAX_PAIRS == len(found)
    assert 2 * MAX_PAIRS + 1 == sum(found.values())
    assert (2, MAX_PAIRS + 2) == (found["['run-0', 'tests']"], found["['Other', 'Other']"])


def test_namespaces_without_a_victim_have_a_limit() -> None:
    """A node may have more pods than there are counters."""
    view = replace(GOOD, assignments=tuple(assigned(f"ns-{number}", None) for number in range(2 * MAX_PAIRS)))

    assert MAX_PAIRS == len(by_namespace(samples(view=view)))


def test_lags_are_histograms() -> None:
    """Each bucket includes all smaller values."""
    counters = Counters()
    for seconds in (0.005, 0.25, 0.3, 11.0):
        counters.change_lag.add(seconds)
    found = samples(counters)

    assert [1, 2, 3, 3, 4, 4] == [
        found[f"change_seconds_bucket['{bound}']"] for bound in ("0.01", "0.25", "0.5", "10.0", "+Inf")
    ] + [found["change_seconds_count"]]
    assert 11.555 == pytest.approx(found["change_seconds_sum"])


def test_a_bound_belongs_to_its_bucket() -> None:
    """Prometheus' label `le` means "less or equal"."""
    lags = Histogram((1.0, 2.0))
    for seconds in (1.0, 1.5, 2.5):
        lags.add(seconds)

    assert [1, 1, 1] == lags.counts


def test_informers_have_metrics() -> None:
    """They show whether each informer is synced, whether it fails, and the time since its last answer."""
    found = samples(pods=CollectionState(synced=True, failing=False, quiet_seconds=2.5))

    assert (1, 0, 2.5) == tuple(found[f"informer_{name}['pods']"] for name in ("synced", "failing", "quiet_seconds"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + "a" * 32 + ".slice", "Burstable"),
        ("kubepods/besteffort/pod" + "a" * 32, "BestEffort"),
        ("kubepods/pod" + "a" * 32 + "/" + "b" * 64, "Guaranteed"),
        ("system.slice/ssh.service", None),
    ],
)
def test_the_class_of_a_victim_comes_from_its_cgroup(path: str, expected: str | None) -> None:
    """No pod object is necessary."""
    names = range(1, path.count("/") + 3)

    assert expected == qos_class(parse_victim(bytes(record(path, names)), BOOT))
