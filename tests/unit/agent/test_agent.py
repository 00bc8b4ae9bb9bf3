# SPDX-License-Identifier: Apache-2.0
"""The whole agent runs with a fake tree and fake pins, and the tests check its map and its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy.mirror import MIRROR
from oompolicy_agent.mapping import treewatch
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import SYSTEMD, UID, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node


def test_the_map_is_right_after_the_start(node: Node) -> None:
    """Slices, pods and containers have their entries, other entries are gone, and the node is ready."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.state["map"][77] = 1, 1
    node.agent.start()
    paths = ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice", SYSTEMD, CONTAINER)

    assert [800, 500, 300, 300] == [node.priority(path) for path in paths]
    assert 77 not in node.state["map"]
    assert node.ready


def test_an_agent_is_in_sync_when_the_map_has_the_priorities(node: Node) -> None:
    """Otherwise /readyz could be 200 before a pod has its first priority."""
    seen = []

    class Watched(dict[int, tuple[int, int]]):
        def __setitem__(self, key: int, value: tuple[int, int]) -> None:
            seen.append(Reason.NOT_SYNCED in node.agent.problems.current)
            super().__setitem__(key, value)

    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.agent.problems.set(Reason.NOT_SYNCED, "waiting for the first complete list")
    node.state["map"] = Watched(node.state["map"])
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(CONTAINER) == 300)
    node.until(lambda: node.ready)

    assert {True} == set(seen)


def test_a_new_pod_is_mapped_as_soon_as_its_cgroup_appears(node: Node) -> None:
    """The status lists the pod as not mapped until then."""
    node.put("pod.json", raw_pod())
    node.agent.start()
    assert ["web-0"] == [each["name"] for each in node.status["notMapped"]]
    assert node.ready
    node.make(SYSTEMD)
    node.until(lambda: node.priority(SYSTEMD) == 500)
    node.until(lambda: not node.status["notMapped"])
    node.make(CONTAINER)
    node.until(lambda: node.priority(CONTAINER) == 500)


@pytest.mark.parametrize("namespace", ["a-tenant", "z-tenant"])
def test_a_forged_mirror_pod_takes_over_nothing(node: Node, namespace: str) -> None:
    """It names another pod's uid and gets neither its entries nor its victims. The status lists its refusal."""
    forged = raw_pod("x", uid="11111111-1111-4111-8111-111111111111", app="ef" * 32)
    forged["metadata"] |= {"namespace": namespace, "annotations": {MIRROR: UID}, "labels": {}}
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.put("forged.json", forged)
    node.agent.start()
    node.kill(CONTAINER)
    node.until(lambda: node.events)

    assert [300, 300] == [node.priority(path) for path in (SYSTEMD, CONTAINER)]
    assert "web-0" == node.events[0]["regarding"]["name"]
    assert [(namespace, MIRROR, UID)] == [
        (each["namespace"], each["annotation"], each["value"]) for each in node.status["refusals"]
    ]


def test_a_static_pod_is_mapped_by_the_uid_of_its_manifest(node: Node) -> None:
    """The mirror pod has this uid in an annotation, and systemd allows no dash in it."""
    path = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podstatic_web_1.slice"
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "static-web-1"}
    node.put("pod.json", raw)
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    node.make(path)
    # No policy for every pod applies to a static pod.
    node.until(lambda: node.priority(path) == 1000)
    node.until(lambda: not node.status["notMapped"])


def test_a_changed_policy_reaches_the_map(node: Node) -> None:
    """No restart is needed, and a deleted policy has no effect any more."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(SYSTEMD) == 300)
    (node.folder / "manifests/policy.json").unlink()
    node.until(lambda: node.priority(SYSTEMD) == 500)


def test_invalid_manifests_do_not_change_the_map(node: Node) -> None:
    """The node is not ready until the manifests are valid."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    node.put("policy.json", raw_policy(value=3000))
    node.until(lambda: not node.ready)
    assert 300 == node.priority(SYSTEMD)
    assert "OOMPolicy/web: spec.priority.value" in node.status["problems"][0]
    node.put("policy.json", raw_policy(value=400))
    node.until(lambda: node.ready)
    assert 400 == node.priority(SYSTEMD)


def test_half_of_a_surrogate_pair_in_a_manifest_does_not_end_the_agent(node: Node) -> None:
    """It could be written neither to the status nor to the checkpoint, and a restart would find the same file."""
    make(node.root, SYSTEMD)
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"oompolicy.dev/priority": "\ud800"}
    node.put("pod.json", raw)
    node.agent.start()
    node.restart()

    assert ["\ufffd"] == [refusal["value"] for refusal in node.status["refusals"]]
    assert 500 == node.priority(SYSTEMD)
    assert "\ufffd" in (node.folder / "state/checkpoint.json").read_text(encoding="utf-8")


def test_before_any_valid_manifests_nothing_is_deleted(node: Node) -> None:
    """The loader's entries are better than none. The slices get theirs."""
    node.put("policy.json", raw_policy(value=3000))
    node.state["map"][77] = 1, 1
    node.agent.start()

    assert (1, 1) == node.state["map"][77]
    assert 800 == node.priority("kubepods.slice")


def test_missing_pins_are_waited_for(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The agent logs that once and is not ready meanwhile. As soon as the pins exist, it fills the map."""
    node.state["pinned"] = 0
    node.agent.start()
    for _ in range(5):
        node.loop.step()
    assert not node.ready
    assert 1 == caplog.text.count("the loader's pins are not there")
    node.state["pinned"] = 1
    node.until(lambda: node.ready)
    assert 800 == node.priority("kubepods.slice")


def test_replaced_pins_are_opened_again(node: Node) -> None:
    """The loader's report shows the replacement, and the records in the old ring buffer are not lost."""
    node.agent.start()
    node.kill("kubepods.slice")
    node.state.update(pinned=2, map={})
    node.report(attached=True)
    node.until(lambda: node.priority("kubepods.slice") == 800)

    assert 2 == node.state["open"].generation
    node.until(lambda: node.events)


def test_a_detached_node_is_not_ready(node: Node) -> None:
    """The loader removed its report and the pins."""
    node.agent.start()
    node.state["pinned"] = 0
    (node.folder / "run/loader.json").unlink()
    node.until(lambda: not node.ready)

    assert {"NotAttached", "PinsMissing", "NotProved"} == {each["reason"] for each in node.status["conditions"]}


def test_a_node_whose_map_cannot_be_written_is_not_ready(node: Node) -> None:
    """The next full check writes the map again."""
    node.state["error"] = PermissionError(1, "Operation not permitted")
    node.agent.start()
    assert "the map cannot be written: [Errno 1] Operation not permitted" in node.status["problems"]
    assert not node.ready
    node.state["error"] = None
    node.agent.full_check()
    assert node.ready


def test_a_full_map_is_reported(node: Node) -> None:
    """The agent continues with the entries that fit."""
    node.state["error"] = OSError(7, "Argument list too long")
    node.agent.start()

    assert 3 == node.status["counts"]["mapEntriesMissing"]
    assert "MapFull" == node.status["conditions"][2]["reason"]


def test_the_full_check_repairs_changes_without_an_event(node: Node) -> None:
    """Examples are a deleted entry, a pod whose announcement was dropped, and an unnoticed change of a manifest."""
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.state["map"].clear()
    make(node.root, SYSTEMD)
    node.agent.full_check()

    assert [800, 500] == [node.priority(path) for path in ("kubepods.slice", SYSTEMD)]


def test_an_unreadable_tree_deletes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable tree is not an empty tree."""
    node.agent.start()
    before = dict(node.state["map"])
    monkeypatch.setattr(treewatch, "scan", scan)
    node.agent.full_check()

    assert before == node.state["map"]
    assert "is not a cgroup v2 mount" in node.status["problems"][0]
    assert not node.ready


def test_a_checkpoint_that_cannot_be_saved_is_reported(node: Node) -> None:
    """The agent continues to enforce, and the node stays ready."""
    node.agent.start()
    (node.folder / "state/checkpoint.json").unlink()
    (node.folder / "state/checkpoint.json").mkdir()
    node.put("pod.json", raw_pod())
    node.until(lambda: any("the checkpoint cannot be written" in each for each in node.status["problems"]))
    assert node.ready


def test_the_checkpoint_is_enforced_if_there_are_no_manifests(node: Node) -> None:
    """A node that boots without them enforces its last known state."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    (node.folder / "manifests").rename(node.folder / "elsewhere")
    node.state["map"].clear()
    node.restart()

    assert 300 == node.priority(SYSTEMD)
    assert not node.ready
