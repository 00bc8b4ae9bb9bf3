# SPDX-License-Identifier: Apache-2.0
"""The program has the mode of OOMSettings within a second, and keeps it in every fault."""

from __future__ import annotations

import json
import time
from functools import partial
from operator import eq
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.layout import KernelMode
from tests.cluster.agent.conftest import NODE
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.kubectl import Kubectl
    from tests.cluster.operators import Operator

ENFORCE, AUDIT, OFF = KernelMode.ENFORCE, KernelMode.AUDIT, KernelMode.OFF
WITHIN = 1.0
"""Seconds from a change to the program, as docs/operator.md promises."""
KILL_SWITCH = {"spec": {"suspend": True}}


def wait_for_mode(agent: RunningAgent, wanted: KernelMode) -> None:
    eventually(lambda: agent.program_mode, lambda found: found is wanted)


def seconds_until(agent: RunningAgent, wanted: KernelMode, change: Callable[[], object]) -> float:
    """Make the change, and return the seconds until the program has the mode."""
    begin = time.monotonic()
    change()
    wait_for_mode(agent, wanted)
    return time.monotonic() - begin


def set_mode(api: Api, **spec: Any) -> None:  # noqa: ANN401 (as JSON has it)
    api.patch("OOMSettings", "cluster", {"spec": spec})


def test_a_change_of_the_settings_is_in_the_program_within_a_second(agent: RunningAgent, api: Api) -> None:
    """Each mode follows each other one. The status of the OOMNode has the mode as well."""
    api.create(raw_settings({"mode": "Audit"}))
    agent.start()
    agent.wait_ready()
    wait_for_mode(agent, AUDIT)
    for mode, name in ((OFF, "Off"), (ENFORCE, "Enforce"), (AUDIT, "Audit"), (ENFORCE, "Enforce"), (OFF, "Off")):
        assert seconds_until(agent, mode, partial(set_mode, api, mode=name)) < WITHIN
        eventually(lambda: agent.status().get("mode"), partial(eq, name))


def test_the_kill_switch_stops_every_node_within_a_second(agent: RunningAgent, api: Api, kubectl: Kubectl) -> None:
    """The command of the documentation is used. It also stops a node with a mode of its own."""
    api.create(raw_settings({"mode": "Audit"}))
    api.patch("OOMNode", NODE, {"spec": {"mode": "Enforce"}})
    agent.start()
    agent.wait_ready()
    wait_for_mode(agent, ENFORCE)
    patch = json.dumps(KILL_SWITCH)

    kubectl("patch", "ooms", "cluster", "--type=merge", f"--patch={patch}")
    begin = time.monotonic()
    wait_for_mode(agent, OFF)
    assert time.monotonic() - begin < WITHIN
    eventually(
        lambda: {(each["type"], each["status"], each["reason"]) for each in agent.status()["conditions"]},
        lambda found: ("Enforcing", "False", "Off") in found,
    )
    set_mode(api, suspend=False)
    wait_for_mode(agent, ENFORCE)


def test_a_selector_enforces_on_one_node(agent: RunningAgent, api: Api, operator: Operator) -> None:
    """The label of the Node decides, from the operator's write of OOMNode.spec to the program."""
    entry = {"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}
    api.create(raw_settings({"mode": "Audit", "nodeModes": [entry]}))
    operator.until_leading()
    agent.start()
    agent.wait_ready()
    wait_for_mode(agent, AUDIT)

    labels = {"metadata": {"labels": {"pool": "canary"}}}
    assert seconds_until(agent, ENFORCE, lambda: api.patch("Node", NODE, labels)) < 2 * WITHIN
    api.patch("Node", NODE, {"metadata": {"labels": {"pool": None}}})
    wait_for_mode(agent, AUDIT)


def test_deleted_settings_change_nothing(agent: RunningAgent, api: Api) -> None:
    """The node stays stopped, also with a new agent."""
    api.create(raw_settings({"mode": "Enforce", "suspend": True}))
    agent.start()
    agent.wait_ready()
    wait_for_mode(agent, OFF)
    api.delete("OOMSettings", "cluster")
    agent.end()
    agent.start()
    agent.wait_ready()

    assert OFF is agent.program_mode
    assert "Off" == eventually(lambda: agent.status().get("mode"), lambda found: found is not None)


@pytest.mark.parametrize("mode", [ENFORCE, AUDIT])
def test_without_settings_the_node_keeps_the_mode_of_the_loader(agent: RunningAgent, mode: KernelMode) -> None:
    """An upgrade from a version without OOMSettings keeps enforcing."""
    agent.set_program_mode(mode)
    agent.start()
    agent.wait_ready()

    assert mode is agent.program_mode


@pytest.mark.usefixtures("undefined_settings")
def test_without_the_definition_the_node_keeps_its_mode_and_reports_it(agent: RunningAgent) -> None:
    """Helm does not upgrade definitions, so the agent may be newer than they are."""
    agent.set_program_mode(AUDIT)
    agent.start()
    agent.wait_ready()

    sentence = "settings cannot be read, and the node keeps its mode"
    eventually(agent.problems, lambda problems: any(sentence in each for each in problems))
    assert AUDIT is agent.program_mode


def test_without_an_api_server_the_agent_changes_no_mode(agent: RunningAgent, api: Api, cluster: Cluster) -> None:
    """The mode is in the checkpoint, and the loader begins with it after a reboot. Later the API server decides."""
    api.create(raw_settings({"mode": "Off"}))
    agent.start()
    agent.wait_ready()
    wait_for_mode(agent, OFF)
    saved = agent.state / "checkpoint.json"
    eventually(
        lambda: json.loads(saved.read_text()) if saved.exists() else {}, lambda found: found.get("mode") == "Off"
    )
    agent.kill()
    cluster.stop_api()
    agent.set_program_mode(AUDIT)
    agent.start()
    eventually(lambda: agent.local_condition("Ready")["reason"], partial(eq, "NotSynced"))

    # The loader has replaced the maps, and the program has the mode that it began with.
    assert AUDIT is agent.program_mode
    cluster.start_api()
    wait_for_mode(agent, OFF)
