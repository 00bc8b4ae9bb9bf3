# SPDX-License-Identifier: Apache-2.0
"""The same OOM in each mode, from OOMSettings to the Event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.endtoend.scene import KILLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.endtoend.scene import Scene
    from tests.node.kubelet import Pod

BATCH, DATABASE = "batch", "database"


@pytest.fixture
def pods(scene: Scene) -> Iterator[dict[str, Pod]]:
    """Yield a big pod with a high priority and a small pod with a low one, and enforce again afterwards."""
    scene.namespace("shop")
    found = {}
    for name, value, mib in ((DATABASE, 900, 120), (BATCH, 100, 20)):
        scene.policy(name, match={"podSelector": {"matchLabels": {"app": name}}}, priority={"value": value})
        found[name] = scene.pod("shop", name, labels={"app": name})
        scene.start(found[name], mib)
        scene.installation.await_priority(found[name], value)
    yield found
    set_settings(scene, "Enforce", mode="Enforce", suspend=False)


def set_settings(scene: Scene, wanted: str, **spec: object) -> None:
    """Change OOMSettings, and wait until the programs in the guest have the wanted mode."""
    scene.api.patch("OOMSettings", "cluster", {"spec": spec})
    assert scene.guest.order("await_mode", wanted=wanted, patience=30.0)


def test_an_audited_victim_is_the_kernels_and_its_event_names_the_policys(scene: Scene, pods: dict[str, Pod]) -> None:
    """The database dies, as it does without oompolicy."""
    set_settings(scene, "Audit", mode="Audit")

    assert DATABASE == scene.first_victim("exhaust_pods")
    note = scene.event(pods[DATABASE], KILLED).note
    assert "mode Audit: the policy would have killed" in note
    assert "pod shop/batch, priority 100" in note


def test_the_kill_switch_leaves_the_choice_to_the_kernel(scene: Scene, pods: dict[str, Pod]) -> None:
    """The Event says that the mode is Off, and names no other process."""
    set_settings(scene, "Off", suspend=True)

    assert DATABASE == scene.first_victim("exhaust_pods")
    note = scene.event(pods[DATABASE], KILLED).note
    assert "priority 900, which the kernel did not use, because the mode of the node is Off" in note
    assert "spared" not in note


def test_after_the_kill_switch_the_policy_chooses_again(scene: Scene, pods: dict[str, Pod]) -> None:
    """The batch job dies, and the Event names the database as spared."""
    set_settings(scene, "Off", suspend=True)
    set_settings(scene, "Enforce", suspend=False)

    assert BATCH == scene.first_victim("exhaust_pods")
    assert "spared" in scene.event(pods[BATCH], KILLED).note
