# SPDX-License-Identifier: Apache-2.0
"""The alerts of the chart fire in the state that they name, and in no other.

promtool evaluates the rules that the chart renders, on series that the programs' own collectors made.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.model import QOSClass
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.status.reasons import Reason
from tests.cluster.chart.helm import CHART
from tests.cluster.chart.promtool import Alert
from tests.cluster.chart.scenarios import named
from tests.cluster.chart.watchedcluster import WatchedCluster
from tests.unit.agent.status.test_document import GOOD, PROOF
from tests.unit.controller.raws import raw_policy
from tests.unit.docs.page import DOCS, section

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.helm import Helm
    from tests.cluster.chart.promtool import Promtool

RULES: dict[str, Any] = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
ALERTS = {each["alert"]: each for group in RULES["groups"] for each in group["rules"]}


def healthy() -> WatchedCluster:
    """A cluster without a victim that waits."""
    cluster = WatchedCluster()
    for node in cluster.nodes:
        cluster.see(node, spooled=0)
    return cluster.run(minutes=20)


def replaced() -> WatchedCluster:
    """Within a minute, n1 has a new agent."""
    cluster = healthy().kill_agents("n1").run(minutes=1).start_agent("n1")
    cluster.see("n1", spooled=0)
    return cluster.run(minutes=20)


def detached() -> WatchedCluster:
    cluster = healthy()
    attachment = replace(GOOD.attachment, problem="detached")
    cluster.see("n1", attachment=attachment, problems={Reason.NOT_ATTACHED: ("detached",)})
    return cluster.run(minutes=11)


def observing() -> WatchedCluster:
    cluster = healthy()
    cluster.see("n1", attachment=replace(GOOD.attachment, backend="ObserveOnly", hook="None"))
    return cluster.run(minutes=11)


def proof_with(reason: ProofReason, backend: str) -> WatchedCluster:
    cluster = healthy()
    cluster.see("n1", attachment=replace(GOOD.attachment, backend=backend, proof=replace(PROOF, reason=reason)))
    return cluster.run(minutes=11)


def dropped_by_the_kernel() -> WatchedCluster:
    cluster = healthy()
    cluster.see("n2", counters={**GOOD.counters, Stat.VICTIMS_DROPPED: GOOD.counters.get(Stat.VICTIMS_DROPPED, 0) + 1})
    return cluster.run(minutes=1)


def dropped_during_a_rollout() -> WatchedCluster:
    """The agent of n2 has another pod when it reports the loss."""
    cluster = healthy().kill_agents("n2").run(minutes=1).start_agent("n2")
    cluster.see("n2", spool_dropped=GOOD.spool_dropped + 1)
    return cluster.run(minutes=1)


def waiting_victims(minutes: int) -> WatchedCluster:
    cluster = healthy()
    cluster.see("n3", spooled=4)
    return cluster.run(minutes=minutes)


def given_up() -> WatchedCluster:
    cluster = healthy()
    cluster.agents["n3"].counters.event("OOMVictimKilled", "given_up")
    return cluster.run(minutes=7)


def open_circuit() -> WatchedCluster:
    cluster = healthy()
    cluster.see("n1", circuit="too many kills")
    return cluster.run(minutes=1)


def missed_order() -> WatchedCluster:
    cluster = healthy()
    cluster.agents["n2"].counters.order_miss()
    return cluster.run(minutes=1)


def missed_before_a_restart() -> WatchedCluster:
    """Half an hour after the miss, the new agent counts from 0."""
    cluster = missed_order().kill_agents("n2").run(minutes=1).start_agent("n2")
    cluster.see("n2", spooled=0)
    return cluster.run(minutes=30)


def full_map() -> WatchedCluster:
    cluster = healthy()
    cluster.see("n1", entries_missing=7)
    return cluster.run(minutes=6)


def invalid_policy() -> WatchedCluster:
    cluster = healthy()
    assert cluster.operator
    cluster.operator.state.policy(raw_policy("broken", value=2000))
    return cluster.run(minutes=11)


def kill() -> WatchedCluster:
    cluster = healthy()
    cluster.agents["n2"].counters.victim("Node", QOSClass.BURSTABLE, "shop", "databases")
    return cluster.run(minutes=20)


MISSING = Alert("Nodes without an agent that Prometheus can reach: 1")
SILENT = Alert("Agents that have not reported to the API server for 10 minutes or more: 1")
NOT_ENFORCING = Alert("The kernel of node n1 does not ask the policies", "n1", "EvaluateTask")
NOT_PROVEN = Alert("The kernel of node n1 has not proved that it follows priorities", "n1")
DROPPED = Alert("Node n2 has lost records of victims", "n2")
NOT_DELIVERED = Alert("The agent of node n3 cannot deliver the Events of victims", "n3")
NO_OPERATOR = Alert("No operator of oompolicy is active")

STATES: dict[str, tuple[Callable[[], WatchedCluster], dict[str, Alert]]] = {
    "all healthy": (healthy, {}),
    "a victim, and nothing else": (kill, {}),
    "an agent dead for five minutes": (lambda: healthy().kill_agents("n1").run(minutes=5), {}),
    "an agent dead for half an hour": (
        lambda: healthy().kill_agents("n1").run(minutes=30),
        {"OOMPolicyAgentMissing": MISSING, "OOMPolicyAgentSilent": SILENT},
    ),
    "an agent replaced within a minute": (replaced, {}),
    "a node that never had an agent": (
        lambda: healthy().add_node("n4").run(minutes=16),
        {"OOMPolicyAgentMissing": MISSING},
    ),
    "a node and its agent removed": (lambda: healthy().remove_node("n2").run(minutes=20), {}),
    "a program detached": (detached, {"OOMPolicyNotEnforcing": NOT_ENFORCING}),
    "a kernel without the hook": (observing, {"OOMPolicyNotEnforcing": replace(NOT_ENFORCING, backend="ObserveOnly")}),
    "a proof in which the wrong process died": (
        lambda: proof_with(ProofReason.WRONG_VICTIM, "ObserveOnly"),
        {
            "OOMPolicyNotEnforcing": replace(NOT_ENFORCING, backend="ObserveOnly"),
            "OOMPolicyNotProven": NOT_PROVEN,
        },
    ),
    "a proof without a victim": (
        lambda: proof_with(ProofReason.NO_VICTIM, "ObserveOnly"),
        {
            "OOMPolicyNotEnforcing": replace(NOT_ENFORCING, backend="ObserveOnly"),
            "OOMPolicyNotProven": NOT_PROVEN,
        },
    ),
    "a proof that could not be made": (
        lambda: proof_with(ProofReason.NOT_POSSIBLE, "EvaluateTask"),
        {"OOMPolicyNotProven": NOT_PROVEN},
    ),
    "a proof that is turned off": (lambda: proof_with(ProofReason.TURNED_OFF, "EvaluateTask"), {}),
    "records dropped by the kernel": (dropped_by_the_kernel, {"OOMPolicyVictimsDropped": DROPPED}),
    "records dropped during a rollout": (dropped_during_a_rollout, {"OOMPolicyVictimsDropped": DROPPED}),
    "victims that wait for a minute": (lambda: waiting_victims(1), {}),
    "victims that wait for half an hour": (
        lambda: waiting_victims(30),
        {"OOMPolicyEventsNotDelivered": NOT_DELIVERED},
    ),
    "an Event given up": (given_up, {"OOMPolicyEventsNotDelivered": NOT_DELIVERED}),
    "an open circuit": (
        open_circuit,
        {"OOMPolicyCircuitOpen": Alert("Node n1 audits because its policies chose too many victims", "n1")},
    ),
    "a victim before a lower priority": (
        missed_order,
        {"OOMPolicyOrderMissed": Alert("On node n2 a process died before a container of a lower priority", "n2")},
    ),
    "a victim before a lower priority, half an hour ago": (missed_before_a_restart, {}),
    "a full map": (
        full_map,
        {"OOMPolicyMapFull": Alert("Entries that are missing because the map of node n1 is full: 7", "n1")},
    ),
    "an invalid policy": (
        invalid_policy,
        {"OOMPolicyPolicyNotReady": Alert("Invalid policies, which no node applies: 1")},
    ),
    "no operator": (lambda: healthy().stop_operator().run(minutes=20), {"OOMPolicyOperatorMissing": NO_OPERATOR}),
    "a new operator": (lambda: healthy().stop_operator().run(minutes=1).start_operator().run(minutes=20), {}),
}


@pytest.mark.parametrize("name", STATES)
def test_an_alert_fires_in_its_state_alone(name: str, promtool: Promtool) -> None:
    """No other alert fires. The summary names the node if the alert is about one."""
    play, expected = STATES[name]

    assert "" == promtool.alerts(play().scrapes, RULES, expected)


def test_every_alert_has_a_state_in_which_it_fires() -> None:
    """The list of the schema has the same names."""
    schema = (CHART / "values.schema.json").read_text()

    assert 6 <= len(ALERTS)
    assert set(ALERTS) == {alert for _, expected in STATES.values() for alert in expected}
    assert set(ALERTS) == set(re.findall(r'"(OOMPolicy[A-Z]\w+)"', schema))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook(name: str) -> None:
    """The heading in troubleshooting.md has the name of the alert."""
    page, _, anchor = ALERTS[name]["annotations"]["runbook"].partition("#")

    assert (f"{DOCS.name}/troubleshooting.md", f"alert-{name.lower()}") == (page, anchor)
    assert "| " in section("troubleshooting.md", f"Alert {name}") or "```sh" in section(
        "troubleshooting.md", f"Alert {name}"
    )


def test_the_chart_renders_the_rules_of_the_file(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The values leave out an alert or add a label. Without a hook, nodes are not expected to enforce."""
    watched, extended, none = (
        {
            each["alert"]: each
            for group in named(rendered[scenario], "PrometheusRule", "oompolicy")["spec"]["groups"]
            for each in group["rules"]
        }
        for scenario in ("watched", "extended", "none")
    )

    assert watched == ALERTS
    assert set(extended) == set(ALERTS) - {"OOMPolicyMapFull"}
    assert all(each["labels"] == {"severity": "warning", "team": "storage"} for each in extended.values())
    assert set(none) == set(ALERTS) - {"OOMPolicyNotEnforcing"}


def test_an_unknown_alert_is_refused(helm: Helm) -> None:
    """A misspelt name would leave the alert in the rules."""
    with pytest.raises(Exception, match="at '/prometheusRule/disabled/0': value must be one of"):
        helm.template("--set", "prometheusRule.disabled={OOMPolicyMapFul}")
