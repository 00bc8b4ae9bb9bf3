# SPDX-License-Identifier: Apache-2.0
"""The whole agent obeys the priorities of OOMSettings, with a fake tree and fake pins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oompolicy_agent.adjuster import wanted
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import SYSTEMD, make, raw_pod
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node

PATHS = ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice", SYSTEMD, CONTAINER)


def settle(node: Node, **spec: Any) -> None:  # noqa: ANN401 (as JSON has it)
    node.put("settings.json", raw_settings({"mode": "Enforce", **spec}))


def saved(node: Node) -> dict[str, Any]:
    path = node.folder / "state/checkpoint.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def test_a_change_of_the_defaults_is_in_the_map(node: Node) -> None:
    """Pods without a policy have the new priority, and so have pods that the agent does not know yet."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    settle(node)
    node.agent.start()
    assert [800, 500, 500, 500] == [node.priority(path) for path in PATHS]
    settle(node, defaults={"guaranteed": 700, "burstable": 600})

    node.until(lambda: [700, 600, 600, 600] == [node.priority(path) for path in PATHS])


def test_a_change_of_the_defaults_counts_on_a_node_without_pods(node: Node) -> None:
    """The next pod has the new default from its first instruction on."""
    settle(node)
    node.agent.start()
    settle(node, defaults={"guaranteed": 700, "burstable": 600})

    node.until(lambda: [700, 600] == [node.priority(path) for path in PATHS[:2]])


def test_a_change_of_the_hosts_priority_is_in_the_program_and_in_the_checkpoint(node: Node) -> None:
    """After a crash of the node, the loader begins with it."""
    settle(node)
    node.agent.start()
    assert 1000 == node.state["host_priority"]
    settle(node, hostPriority=700, defaults={"bestEffort": 100})

    node.until(lambda: node.state["host_priority"] == 700)
    node.until(lambda: saved(node).get("hostPriority") == 700)
    node.until(lambda: (saved(node).get("defaults") or {}).get("best_effort") == 100)


def test_without_settings_the_node_keeps_its_priorities(node: Node) -> None:
    """A deleted OOMSettings changes nothing, also for the next agent."""
    settle(node, hostPriority=700, defaults={"guaranteed": 750})
    node.agent.start()
    assert (700, 750) == (node.state["host_priority"], node.priority(PATHS[0]))
    (node.folder / "manifests/settings.json").unlink()
    node.until(lambda: saved(node).get("hostPriority") == 700)
    node.restart()

    assert (700, 750) == (node.state["host_priority"], node.priority(PATHS[0]))


def test_the_adjuster_gets_the_hosts_priority(node: Node) -> None:
    """Scores have the same order as the hook."""
    node.settings = replace(node.settings, scores=True)
    node.report(attached=True, backend="ObserveOnly", hook="None", message="this kernel has no hook")
    settle(node, hostPriority=0)
    node.restart()

    assert 0 == wanted.parse((node.folder / "run/wanted.json").read_bytes()).host_priority
    settle(node, hostPriority=900)
    node.until(lambda: wanted.parse((node.folder / "run/wanted.json").read_bytes()).host_priority == 900)
