# SPDX-License-Identifier: Apache-2.0
"""A node-critical pod becomes a victim only if a policy names its class."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import (
    Assignment,
    ByPriorityClass,
    ByQOSClass,
    Defaults,
    FixedPriority,
    Match,
    Mirror,
    OOMPolicy,
    Pod,
    QOSClass,
)
from oompolicy.resolve import Resolver
from tests.unit.policy.factories import pod, policy

NODE_CRITICAL, CLUSTER_CRITICAL = "system-node-critical", "system-cluster-critical"
STATIC = Mirror(by_node=True, created="2026-11-28T00:00:00Z")
FORGED = Mirror(by_node=False, created="2026-11-28T00:00:00Z")
PROXY = pod(name="kube-proxy", qos_class=QOSClass.BEST_EFFORT, priority_class_name=NODE_CRITICAL)
ETCD = replace(pod(name="etcd"), mirror=STATIC)
EVERY_POD = policy("every", priority=FixedPriority(100), override=(0, 1000))
NAMING = policy("naming", priority=FixedPriority(300), match=Match(priority_class_names=frozenset({NODE_CRITICAL})))


def assign(subject: Pod, *policies: OOMPolicy, defaults: Defaults | None = None) -> Assignment:
    return Resolver(policies, (), defaults or Defaults()).assign(subject)


@pytest.mark.parametrize(
    ("subject", "priority", "reason"),
    [
        (
            PROXY,
            1000,
            "built-in default for PriorityClass system-node-critical; no OOMPolicy for this node-critical pod"
            " names system-node-critical in match.priorityClassNames",
        ),
        (
            ETCD,
            1000,
            "built-in default for static pods; no OOMPolicy applies to a static pod without a PriorityClass",
        ),
        (
            replace(ETCD, priority_class_name="batch"),
            1000,
            "built-in default for static pods; no OOMPolicy for this node-critical pod"
            " names system-node-critical and batch in match.priorityClassNames",
        ),
        (pod(priority_class_name=CLUSTER_CRITICAL), 1000, "built-in default for PriorityClass system-cluster-critical"),
        (replace(pod(), mirror=FORGED), 500, "built-in default for QoS class Burstable"),
        (pod(priority_class_name="critical"), 500, "built-in default for QoS class Burstable"),
    ],
)
def test_critical_pods_have_their_own_defaults(subject: Pod, priority: int, reason: str) -> None:
    """The reason names the policy field that would change the default. A forged annotation does not change it."""
    assignment = assign(subject)

    assert (priority, reason, "default") == (assignment.priority, assignment.reason, assignment.source)
    assert [priority] == [each.priority for each in assignment.containers]


@pytest.mark.parametrize("subject", [PROXY, ETCD])
def test_a_policy_for_every_pod_does_not_apply_to_node_critical_ones(subject: Pod) -> None:
    """A policy by QoS class does not apply either, and their annotations are refused with the same reason."""
    by_class = policy("classes", priority=ByQOSClass(900, 200, 100), match=Match(qos_classes=frozenset(QOSClass)))
    asking = replace(subject, annotations={"oompolicy.dev/priority": "5"})
    assignment = assign(asking, EVERY_POD, by_class)

    assert (1000, None) == (assignment.priority, assignment.policy)
    (refusal,) = assignment.refusals
    assert refusal.message.endswith("so none allows annotations")
    assert refusal.message.startswith("no OOMPolicy ")


def test_a_policy_that_names_the_class_applies() -> None:
    """For a static pod the policy must name its own class too. No policy applies to a static pod without a class."""
    both = replace(NAMING, match=Match(priority_class_names=frozenset({NODE_CRITICAL, "batch"})))

    assert (300, "naming") == (assign(PROXY, EVERY_POD, NAMING).priority, assign(PROXY, NAMING).policy)
    assert 300 == assign(replace(ETCD, priority_class_name=NODE_CRITICAL), NAMING).priority
    assert 1000 == assign(replace(ETCD, priority_class_name="batch"), NAMING).priority
    assert 300 == assign(replace(ETCD, priority_class_name="batch"), both).priority
    assert 1000 == assign(ETCD, both).priority


def test_a_policy_that_names_the_class_without_a_value_leaves_the_default() -> None:
    """The default of the QoS class does not apply."""
    silent = replace(NAMING, priority=ByPriorityClass({"batch": 5}))
    assignment = assign(PROXY, silent)

    assert (1000, "policy") == (assignment.priority, assignment.source)
    assert assignment.reason.endswith("no default, so built-in default for PriorityClass system-node-critical")


def test_a_cluster_critical_pod_follows_every_policy() -> None:
    """Only its default differs."""
    assert 100 == assign(pod(priority_class_name=CLUSTER_CRITICAL), EVERY_POD).priority


def test_the_defaults_can_be_changed() -> None:
    """Each default is within the range."""
    defaults = Defaults(node_critical=990, cluster_critical=940)

    etcd, coredns = (assign(each, defaults=defaults) for each in (ETCD, pod(priority_class_name=CLUSTER_CRITICAL)))
    assert (990, 940) == (etcd.priority, coredns.priority)
    assert etcd.reason.startswith("default of OOMSettings for ")
    assert "default of OOMSettings for PriorityClass system-cluster-critical" == coredns.reason
    with pytest.raises(ValueError, match="1001 is outside"):
        Defaults(node_critical=1001)


MATCHES = st.builds(
    Match,
    qos_classes=st.none() | st.frozensets(st.sampled_from(QOSClass), min_size=1),
    priority_class_names=st.none() | st.frozensets(st.sampled_from(["batch", CLUSTER_CRITICAL]), min_size=1),
)
RULES = st.sampled_from([FixedPriority(0), ByQOSClass(1, 2, 3), ByPriorityClass({NODE_CRITICAL: 4}, 5)])


@given(st.lists(MATCHES, max_size=3), RULES, st.booleans(), st.sampled_from([None, "batch", NODE_CRITICAL]))
def test_nothing_but_its_class_in_a_match_moves_a_node_critical_pod(
    matches: list[Match], rule: ByQOSClass, static: bool, name: str | None
) -> None:
    """This holds for every set of policies."""
    subject = replace(pod(priority_class_name=name), mirror=STATIC if static or name != NODE_CRITICAL else None)
    policies = [policy(f"p{n}", match=each, priority=rule, override=(0, 9)) for n, each in enumerate(matches)]

    assert 1000 == assign(replace(subject, annotations={"oompolicy.dev/priority": "5"}), *policies).priority
