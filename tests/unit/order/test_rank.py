# SPDX-License-Identifier: Apache-2.0
"""The ranks follow the rules of the BPF program, and the kernel's ranks follow its badness."""

import json
from dataclasses import replace

import pytest

from oompolicy.order.facts import NodeFacts, Running, parse, plain
from oompolicy.order.rank import passed_over, ranked

MIB = 1 << 20
WEB = Running("shop", "web-0", "app", 300, "policy", "web", "", 10 * MIB, 40 * MIB, 50 * MIB, 999)
DATABASE = Running("shop", "db-0", "app", 900, "policy", "db", "", 0, 500 * MIB, 600 * MIB, 1000)
REPORT = Running("batch", "report", "app", 300, "default", None, "", 100 * MIB, 90 * MIB, 100 * MIB, 990)
ETCD = Running("kube-system", "etcd", "etcd", 1000, "default", None, "", 0, 800 * MIB, 900 * MIB, -997)
FACTS = NodeFacts("node-1", "Enforce", "EvaluateTask", True, (ETCD, DATABASE, WEB, REPORT), totals={"node": 1000 * MIB})


def order(facts: NodeFacts, scope: str = "node") -> list[str]:
    return [each.container.pod for each in ranked(facts, scope)]


def test_the_lowest_priority_dies_first() -> None:
    """Between two of one priority the badness decides: 40 MiB with 999 are less than 90 MiB with 990."""
    assert ["report", "web-0", "db-0", "etcd"] == order(FACTS)
    assert [1, 2, 3, 4] == [each.number for each in ranked(FACTS, "node")]


def test_the_kernel_ranks_by_badness() -> None:
    """The score counts in thousandths of the scope."""
    found = {each.container.pod: each.kernel for each in ranked(FACTS, "node")}

    assert {"db-0": 1, "report": 2, "web-0": 3, "etcd": 4} == found


def test_a_larger_scope_gives_scores_more_weight() -> None:
    """9 thousandths of 10 GiB are more than the 50 MiB of difference. A scope without a limit has that of the node."""
    large = replace(FACTS, totals={"node": 10_000 * MIB})

    assert ["web-0", "report"] == order(large)[:2]
    assert ["web-0", "report"] == order(large, "kubepods")[:2]
    limited = replace(large, totals={"node": 10_000 * MIB, "kubepods": 1000 * MIB})
    assert ["report", "web-0"] == order(limited, "kubepods")[:2]


def test_scores_put_one_priority_into_the_order_of_memory() -> None:
    """On a node that enforces with scores, the scores of the kubelet are replaced."""
    facts = replace(FACTS, backend="OOMScoreAdj", totals={"node": 10_000 * MIB})

    assert ["report", "web-0"] == order(facts)[:2]


def test_scores_know_neither_requests_nor_a_minimum_of_memory() -> None:
    """The adjuster gives scores by priority and memory alone, so the kernel follows neither of these settings."""
    small = replace(WEB, priority=100, usage=1, memory=1)
    facts = replace(FACTS, backend="OOMScoreAdj", containers=(small, WEB, REPORT))
    changed = replace(facts, tie_break="MostOverRequest", minimum_victim_memory=60 * MIB)

    assert [small, REPORT, WEB] == [each.container for each in ranked(changed, "node")]
    assert not passed_over(small, changed)


def test_the_most_above_its_request_dies_first_if_settings_say_so() -> None:
    """web-0 is 40 MiB above its request, and report is at its request."""
    assert ["web-0", "report"] == order(replace(FACTS, tie_break="MostOverRequest"))[:2]


def test_requests_have_no_effect_from_the_hosts_priority_upwards() -> None:
    """A node-critical pod without a request keeps its place in the kernel's order."""
    critical = replace(WEB, priority=1000, score=-997, memory_request=0)
    other = replace(REPORT, priority=1000, score=0, memory_request=500 * MIB)
    facts = replace(FACTS, tie_break="MostOverRequest", containers=(critical, other))

    assert ["report", "web-0"] == order(facts)


def test_small_containers_die_after_larger_ones_and_before_the_host() -> None:
    """A container of the host's priority or above is never passed over."""
    small = replace(ETCD, usage=1, memory=1)
    facts = replace(FACTS, minimum_victim_memory=60 * MIB, containers=(small, DATABASE, WEB, REPORT))

    assert ["report", "db-0", "web-0", "etcd"] == order(facts)


def test_the_memory_of_the_pod_counts_if_the_pod_dies_as_a_whole() -> None:
    """A small container of a large pod is then not passed over."""
    small = replace(WEB, priority=0, usage=1, memory=1)
    whole = replace(small, pod_usage=60 * MIB)
    facts = replace(FACTS, minimum_victim_memory=60 * MIB)

    assert ["report", "web-0"] == order(replace(facts, containers=(small, REPORT)))
    assert ["web-0", "report"] == order(replace(facts, containers=(whole, REPORT)))


def test_the_scope_of_a_pod_has_its_containers_alone() -> None:
    """Its limit gives the weight of scores."""
    assert ["web-0"] == order(FACTS, "pod/shop/web-0")
    assert [] == order(FACTS, "pod/shop/web-1")


def test_containers_of_files_have_no_rank_of_the_kernel() -> None:
    """Their memory is not known, so the order is that of priorities."""
    facts = NodeFacts("node-1", None, None, False, (DATABASE, replace(WEB, memory=None, usage=None)))

    assert [("web-0", None), ("db-0", 1)] == [(each.container.pod, each.kernel) for each in ranked(facts, "node")]


def test_facts_survive_json() -> None:
    assert FACTS == parse(json.loads(json.dumps(plain(FACTS))))


@pytest.mark.parametrize("data", [[], {}, {"version": 2}, {"version": 1}, {**plain(FACTS), "new": 1}])
def test_an_answer_of_another_version_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="the answer of the agent"):
        parse(data)
