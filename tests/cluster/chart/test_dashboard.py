# SPDX-License-Identifier: Apache-2.0
"""The dashboard shows in red that an agent or the operator is gone, and it shows the first kill.

promtool evaluates its expressions on series that the programs' own collectors made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from oompolicy.controller.matcher import Shape
from oompolicy.model import Assignment, QOSClass, Refusal
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.status.counters import CollectionState
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.scores import Scores
from tests.cluster.chart.dashboard import panels
from tests.cluster.chart.helm import CHART
from tests.cluster.chart.scrapes import Scrapes
from tests.cluster.chart.watchedcluster import WatchedCluster
from tests.unit.agent.fakes import pod
from tests.unit.agent.status.test_document import GOOD, PROOF
from tests.unit.agent.status.test_scores import ORDER
from tests.unit.controller.raws import raw_policy
from tests.unit.docs.page import codes, section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.chart.promtool import Promtool

GONE, SILENT, NEVER = "Agents that are gone", "Silent agents", "Nodes that have never had an agent"
OPERATORS, VICTIMS = "Active operators", "Victims in the last hour"
NOT_READY, NOT_ATTACHED = "Agents that are not ready", "Nodes without an attached program"
CIRCUIT, NOT_PROVEN = "Nodes with an open circuit", "Nodes whose proof failed"

HEALTHY: dict[str, tuple[float | None, str]] = {
    GONE: (0, "green"),
    SILENT: (0, "green"),
    NEVER: (0, "green"),
    OPERATORS: (1, "green"),
    VICTIMS: (0, "green"),
    NOT_READY: (0, "green"),
    NOT_ATTACHED: (0, "green"),
    CIRCUIT: (0, "green"),
    NOT_PROVEN: (0, "green"),
}
NO_DATA = (None, "")
OF_AGENTS = dict.fromkeys((NOT_READY, NOT_ATTACHED, CIRCUIT, NOT_PROVEN), NO_DATA)
"""The tiles about living agents, when there is none."""
WRONG = replace(PROOF, reason=ProofReason.WRONG_VICTIM)
ASSIGNED = Assignment("pod-uid", "pod-uid", "shop", "web-0", 500, "the policy databases", "policy", "databases")


def healthy() -> WatchedCluster:
    return WatchedCluster().run(minutes=10)


def one_with(**facts: object) -> WatchedCluster:
    cluster = healthy()
    cluster.see("n1", **facts)
    return cluster.run(minutes=1)


def one_not_ready() -> WatchedCluster:
    detached = replace(GOOD.attachment, problem="detached")
    return one_with(attachment=detached, problems={Reason.NOT_ATTACHED: ("detached",)})


def first_kill() -> WatchedCluster:
    cluster = healthy()
    cluster.agents["n2"].counters.victim("Node", QOSClass.BURSTABLE, "shop", "databases")
    return cluster.run(minutes=1)


STATES: dict[str, tuple[Callable[[], WatchedCluster], Mapping[str, tuple[float | None, str]]]] = {
    "all healthy": (healthy, {}),
    "one agent dead for a minute": (lambda: healthy().kill_agents("n1").run(minutes=1), {GONE: (1, "red")}),
    "one agent dead for 15 minutes": (
        lambda: healthy().kill_agents("n1").run(minutes=15),
        {GONE: (1, "red"), SILENT: (1, "red")},
    ),
    "one agent dead for two hours": (
        lambda: healthy().kill_agents("n1").run(minutes=120),
        {GONE: (1, "red"), SILENT: (1, "red")},
    ),
    "a dead agent is back": (
        lambda: healthy().kill_agents("n1").run(minutes=15).start_agent("n1").run(minutes=1),
        {},
    ),
    "all agents dead for a minute": (
        lambda: healthy().kill_agents("n1", "n2", "n3").run(minutes=1),
        {GONE: (3, "red")},
    ),
    "all agents dead for two hours, with a new operator": (
        lambda: healthy().kill_agents("n1", "n2", "n3").run(minutes=120).start_operator().run(minutes=5),
        {GONE: (3, "red"), SILENT: (3, "red"), VICTIMS: NO_DATA, **OF_AGENTS},
    ),
    "operator gone": (
        lambda: healthy().stop_operator().run(minutes=15),
        {OPERATORS: (0, "red"), SILENT: NO_DATA, NEVER: NO_DATA},
    ),
    "operator gone, then one agent dead": (
        lambda: healthy().stop_operator().run(minutes=15).kill_agents("n3").run(minutes=15),
        {GONE: (1, "red"), OPERATORS: (0, "red"), SILENT: NO_DATA, NEVER: NO_DATA},
    ),
    "operator gone, then all agents dead": (
        lambda: healthy().stop_operator().run(minutes=15).kill_agents("n1", "n2", "n3").run(minutes=15),
        {GONE: (3, "red"), OPERATORS: (0, "red"), SILENT: NO_DATA, NEVER: NO_DATA},
    ),
    "a node without an agent": (lambda: healthy().add_node("n4").run(minutes=15), {NEVER: (1, "orange")}),
    "a node and its agent removed": (lambda: healthy().remove_node("n2").run(minutes=1), {}),
    "one agent not ready": (one_not_ready, {NOT_READY: (1, "red"), NOT_ATTACHED: (1, "red")}),
    "a node that no longer has an agent, and its OOMNode deleted": (
        lambda: healthy().kill_agents("n1").run(minutes=15).delete_oomnode("n1").run(minutes=1),
        {NEVER: (1, "orange")},
    ),
    "an open circuit": (lambda: one_with(circuit="too many kills"), {CIRCUIT: (1, "red")}),
    "a proof in which the wrong process died": (
        lambda: one_with(attachment=replace(GOOD.attachment, proof=WRONG)),
        {NOT_PROVEN: (1, "red")},
    ),
    "first kill": (first_kill, {VICTIMS: (1, "orange")}),
    "first kill, then one agent dead": (
        lambda: first_kill().kill_agents("n1").run(minutes=15),
        {VICTIMS: (1, "orange"), GONE: (1, "red"), SILENT: (1, "red")},
    ),
}
# Without any agent that answers, the tiles about living agents have no data.
for name in ("all agents dead for a minute", "operator gone, then all agents dead"):
    played, tiles = STATES[name]
    STATES[name] = played, {**tiles, **OF_AGENTS}


@pytest.mark.parametrize("name", STATES)
def test_a_tile_has_the_color_of_the_clusters_state(name: str, promtool: Promtool) -> None:
    """A tile that this state does not concern is as in a healthy cluster."""
    play, concerned = STATES[name]
    board, expected = panels(), {**HEALTHY, **concerned}
    values = {board[title].shown: value for title, (value, _) in expected.items()}
    colors = {title: board[title].color(value) if value is not None else "" for title, (value, _) in expected.items()}

    assert "" == promtool.evaluate(play().scrapes, values)
    assert {title: color for title, (_, color) in expected.items()} == colors


@pytest.mark.parametrize(
    "title",
    ["Victims by scope", "Victims by QoS class", "Victims by namespace and policy", "Nodes with the most victims"],
)
def test_a_graph_shows_the_first_kill(title: str, promtool: Promtool) -> None:
    """The series exists at 0 before the kill, so it increases by one."""
    cluster = WatchedCluster()
    cluster.see("n2", assignments=(ASSIGNED,))
    cluster.run(minutes=10)
    cluster.agents["n2"].counters.victim("Node", QOSClass.BURSTABLE, "shop", "databases")
    cluster.see("n2", counters={**GOOD.counters, Stat.VICTIMS: GOOD.counters[Stat.VICTIMS] + 1})
    cluster.run(minutes=3)
    (expression,) = panels()[title].expressions

    assert "" == promtool.evaluate(
        cluster.scrapes,
        {
            f"count(max_over_time(({expression})[4m:30s]) >= 1)": 1,
            f"max(max_over_time(({expression})[9m:30s] offset 4m))": 0,
        },
    )


class CollectionWatch:
    failing = "it cannot be watched"


@pytest.fixture(scope="module")
def trouble() -> Scrapes:
    """Everything that a panel shows happens within 12 minutes. The agent of n3 is dead, and n4 never had one."""
    cluster = WatchedCluster()
    cluster.see("n1", assignments=(ASSIGNED,))
    cluster.run(minutes=5)
    operator, agent = cluster.operator, cluster.agents["n1"]
    assert operator is not None
    operator.metrics.watch({"pods": CollectionWatch()})
    operator.metrics.errors.labels("any")
    operator.state.policy(raw_policy("broken", value=2000))
    operator.state.pods_listed({"pod-1": Shape("shop", (), QOSClass.BURSTABLE, None)})
    cluster.policy_hash = operator.state.policies.current_hash
    cluster.add_node("n4").kill_agents("n3")
    agent.followed["pods"] = CollectionState(synced=True, failing=True, quiet_seconds=500.0)
    cluster.see("n2", scores=Scores(Reason.SCORES_IN_FORCE, "", ORDER))
    agent.counters.choice("Audit", "Different")
    agent.counters.order_miss()
    cluster.see(
        "n1",
        attachment=replace(GOOD.attachment, problem="detached", proof=WRONG),
        circuit="too many kills",
        problems={Reason.NOT_ATTACHED: ("detached",)},
        counters=dict.fromkeys(Stat, 9),
        spooled=9,
        spool_dropped=9,
        not_mapped=(pod(),),
        entries_missing=1,
        assignments=(replace(ASSIGNED, refusals=(Refusal("oompolicy.dev/priority", "1", "It is not allowed."),)),),
    )
    agent.counters.victim("Node", QOSClass.BURSTABLE, "shop", "databases")
    agent.counters.event("OOMVictimKilled", "given_up")
    for _ in range(2):
        agent.counters.error("event", 403)
        agent.counters.change_lag.add(1)
        agent.counters.event_lag.add(1)
        operator.metrics.errors.labels("any").inc()
        operator.metrics.lag.observe(3)
        cluster.run(minutes=1)
    return cluster.run(minutes=10).scrapes


def test_every_query_shows_what_happens(promtool: Promtool, trouble: Scrapes) -> None:
    """A query with a metric or a label that does not exist would never show anything."""
    queries = [each for panel in panels().values() for each in panel.expressions]
    after_the_first_kill = f"[{trouble.seconds - 300}s:{Scrapes.INTERVAL}s]"

    assert len(queries) > 25
    assert "" == promtool.evaluate(
        trouble, {f"max(max_over_time(({each}){after_the_first_kill})) > bool 0": 1 for each in queries}
    )


def test_every_alert_of_the_documentation_fires_in_trouble_alone(promtool: Promtool, trouble: Scrapes) -> None:
    """A condition of the list has a sample in trouble, and none in a healthy cluster."""
    codes_of_alerts = [each for each in codes(section("agent.md", "Prometheus metrics")) if " " in each]
    of_operator = [each for each in codes_of_alerts if each.startswith("absent(")]
    conditions = [each for each in codes_of_alerts if each not in of_operator]

    assert (1, 5) == (len(of_operator), len(conditions))
    assert "" == promtool.evaluate(trouble, {f"count({each}) > bool 0": 1 for each in conditions})
    gone = healthy().stop_operator().run(minutes=6)
    assert "" == promtool.evaluate(gone.scrapes, {f"count({each})": 1 for each in of_operator})
    assert "" == promtool.evaluate(healthy().scrapes, dict.fromkeys(codes_of_alerts))


def test_the_smallest_step_of_a_rate_is_one_scrape() -> None:
    """Grafana would otherwise take a rate over less than two scrapes, which is empty."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    steps = {
        panel.raw.get("interval")
        for panel in panels().values()
        if any("$__rate_interval" in target["expr"] for target in panel.raw["targets"])
    }

    assert {f"{Scrapes.INTERVAL}s"} == {values["podMonitor"]["interval"]} == steps
