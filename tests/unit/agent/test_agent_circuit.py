# SPDX-License-Identifier: Apache-2.0
"""The whole agent opens the circuit, with a fake tree and fake pins."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.layout import KernelMode, VictimFlag
from oompolicy_agent.mapping import circuit
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import id_of, make, raw_pod
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node


@pytest.fixture
def enforcing(node: Node) -> Node:
    """A node whose policies may choose two victims in a minute."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    limit(node, 2)
    node.agent.start()
    return node


def limit(node: Node, kills: int, **spec: Any) -> None:  # noqa: ANN401 (as JSON has it)
    node.put("settings.json", raw_settings({"mode": "Enforce", "maxKillsPerMinute": kills, **spec}))


def kill(node: Node, count: int, **fields: Any) -> None:  # noqa: ANN401 (as ctypes has it)
    """Kill processes now, and wait until all of them are reported."""
    before = len(node.events)
    for pid in range(before, before + count):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        node.kill(CONTAINER, boottime_ns=now, victim_tgid=5000 + pid, **fields)
    node.until(lambda: len(node.events) == before + count)


def condition(node: Node, name: str) -> tuple[str, str] | None:
    found = (each for each in node.status["conditions"] if each["type"] == name)
    return next(((each["status"], each["reason"]) for each in found), None)


def test_too_many_kills_put_the_node_into_audit(enforcing: Node) -> None:
    """The status says why the node does not enforce."""
    kill(enforcing, 2)
    enforcing.until(lambda: condition(enforcing, "CircuitOpen") == ("False", "WithinLimit"))
    assert KernelMode.ENFORCE == enforcing.state["mode"]
    kill(enforcing, 1)
    enforcing.until(lambda: condition(enforcing, "CircuitOpen") == ("True", "TooManyKills"))

    assert KernelMode.AUDIT == enforcing.state["mode"]
    assert ("False", "TooManyKills") == condition(enforcing, "Enforcing")
    assert "Audit" == enforcing.status["mode"]


def test_a_restart_keeps_the_circuit_open(enforcing: Node) -> None:
    kill(enforcing, 3)
    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.AUDIT)
    enforcing.restart()

    assert KernelMode.AUDIT == enforcing.state["mode"]
    assert ("True", "TooManyKills") == condition(enforcing, "CircuitOpen")


def without_settings(node: Node) -> None:
    """Restart the agent as without an API server: the checkpoint has no OOMSettings."""
    kill(node, 3)
    node.until(lambda: node.state["mode"] == KernelMode.AUDIT)
    (node.folder / "manifests/settings.json").unlink()
    node.restart()


def saved(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((node.folder / "state/checkpoint.json").read_text())
    return found


def test_the_circuit_closes_without_settings(enforcing: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten minutes end without an API server too. Pins that come late get the mode as well."""
    without_settings(enforcing)
    assert (KernelMode.AUDIT, "Audit") == (enforcing.state["mode"], enforcing.status["mode"])
    monkeypatch.setattr(circuit, "OPEN_NS", 0)
    enforcing.state["error"] = OSError(5, "Input/output error")
    enforcing.agent.full_check()
    assert KernelMode.AUDIT == enforcing.state["mode"]
    enforcing.state["error"] = None
    enforcing.agent.full_check()

    assert KernelMode.ENFORCE == enforcing.state["mode"]
    assert ("Enforce", "Enforce") == (enforcing.status["mode"], saved(enforcing)["mode"])


def test_a_reboot_ends_the_audit_of_the_circuit(enforcing: Node) -> None:
    """The loader begins with the mode in the checkpoint, which is that of the admin."""
    without_settings(enforcing)

    assert ("Enforce", True) == (saved(enforcing)["mode"], saved(enforcing)["circuit"] is not None)
    assert KernelMode.AUDIT == enforcing.state["mode"]


def test_the_admins_audit_outlives_the_circuit(enforcing: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the checkpoint at once, although the programs audit already."""
    kill(enforcing, 3)
    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.AUDIT)
    limit(enforcing, 2, mode="Audit")
    enforcing.until(lambda: saved(enforcing)["mode"] == "Audit")
    (enforcing.folder / "manifests/settings.json").unlink()
    enforcing.restart()
    monkeypatch.setattr(circuit, "OPEN_NS", 0)
    enforcing.agent.full_check()

    assert KernelMode.AUDIT == enforcing.state["mode"]


def test_kills_before_a_restart_count(enforcing: Node) -> None:
    kill(enforcing, 2)
    enforcing.restart()
    kill(enforcing, 1)

    enforcing.until(lambda: condition(enforcing, "CircuitOpen") == ("True", "TooManyKills"))


def test_a_new_limit_closes_the_circuit(enforcing: Node) -> None:
    kill(enforcing, 3)
    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.AUDIT)
    limit(enforcing, 10)

    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.ENFORCE)
    enforcing.until(lambda: condition(enforcing, "CircuitOpen") == ("False", "WithinLimit"))


def test_the_kill_switch_is_stronger(enforcing: Node) -> None:
    kill(enforcing, 3)
    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.AUDIT)
    limit(enforcing, 2, suspend=True)

    enforcing.until(lambda: enforcing.state["mode"] == KernelMode.OFF)


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": VictimFlag.SELECTED | VictimFlag.AUDIT},
        {"flags": VictimFlag.OFF},
        {"flags": VictimFlag(0)},
        {"flags": VictimFlag.SELECTED | VictimFlag.GROUP},
    ],
    ids=["audited", "off", "without the hook", "with its group"],
)
def test_kills_that_no_policy_chose_do_not_count(enforcing: Node, fields: dict[str, Any]) -> None:
    """All processes that die with the chosen one are one kill."""
    kill(enforcing, 9, **fields)

    assert KernelMode.ENFORCE == enforcing.state["mode"]


def test_a_container_that_exceeds_its_own_limit_does_not_count(enforcing: Node) -> None:
    """It loses one of its own processes in every mode."""
    kill(enforcing, 9, scope_cgroup_id=id_of(enforcing.root, CONTAINER))

    assert KernelMode.ENFORCE == enforcing.state["mode"]


def test_without_a_limit_there_is_no_condition(node: Node) -> None:
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    limit(node, 0)
    node.agent.start()
    kill(node, 9)

    assert condition(node, "CircuitOpen") is None
    assert KernelMode.ENFORCE == node.state["mode"]
