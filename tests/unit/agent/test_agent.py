# SPDX-License-Identifier: Apache-2.0
"""The agent as a whole, over a fake tree and fake pins: what is in the map, and what it says of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy.mirror import MIRROR
from oompolicy_agent.mapping import treewatch
from oompolicy_agent.mapping.cgroups import scan
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import SYSTEMD, UID, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node


def test_the_map_is_right_after_the_start(node: Node) -> None:
    """Slices, pods and containers; what does not belong there is gone; the node is ready."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.state["map"][77] = 1, 1
    node.agent.start()
    paths = ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice", SYSTEMD, CONTAINER)

    assert [800, 500, 300, 300] == [node.priority(path) for path in paths]
    assert 77 not in node.state["map"]
    assert node.ready


def test_a_new_pod_is_mapped_as_soon_as_its_cgroup_appears(node: Node) -> None:
    """Until then it is reported as not mapped."""
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
def test_a_forged_mirror_pod_takes_nothing_over(node: Node, namespace: str) -> None:
    """Neither the entries of the pod whose uid it names, nor its victims; it is told that it is refused."""
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
    """The mirror pod says which one that is; systemd allows no dash in it."""
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
    """Without a restart; and it goes when the policy goes."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(SYSTEMD) == 300)
    (node.folder / "manifests/policy.json").unlink()
    node.until(lambda: node.priority(SYSTEMD) == 500)


def test_bad_manifests_leave_the_map_alone(node: Node) -> None:
    """The node is not ready until they are right."""
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


def test_half_of_a_surrogate_pair_in_a_manifest_ends_nothing(node: Node) -> None:
    """Neither the status nor the checkpoint could be written. A restart finds the same file."""
    make(node.root, SYSTEMD)
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"oompolicy.dev/priority": "\ud800"}
    node.put("pod.json", raw)
    node.agent.start()
    node.restart()

    assert ["\ufffd"] == [refusal["value"] for refusal in node.status["refusals"]]
    assert 500 == node.priority(SYSTEMD)
    assert "\ufffd" in (node.folder / "state/checkpoint.json").read_text(encoding="utf-8")


def test_before_any_good_manifests_nothing_is_deleted(node: Node) -> None:
    """The loader's entries are better than none; the slices get theirs."""
    node.put("policy.json", raw_policy(value=3000))
    node.state["map"][77] = 1, 1
    node.agent.start()

    assert (1, 1) == node.state["map"][77]
    assert 800 == node.priority("kubepods.slice")


def test_missing_pins_are_waited_for(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Said once, not ready meanwhile; filled as soon as they are there."""
    node.state["pinned"] = 0
    node.agent.start()
    for _ in range(5):
        node.loop.step()
    assert not node.ready
    assert 1 == caplog.text.count("the loader's pins are not there")
    node.state["pinned"] = 1
    node.until(lambda: node.ready)
    assert 800 == node.priority("kubepods.slice")


def test_replaced_pins_are_opened_anew(node: Node) -> None:
    """The loader's report tells; what the old ring still held is not lost."""
    node.agent.start()
    node.kill("kubepods.slice")
    node.state.update(pinned=2, map={})
    node.report(attached=True)
    node.until(lambda: node.priority("kubepods.slice") == 800)

    assert 2 == node.state["open"].generation
    node.until(lambda: node.events)


def test_a_detached_node_is_not_ready(node: Node) -> None:
    """The loader's report goes, and the pins with it."""
    node.agent.start()
    node.state["pinned"] = 0
    (node.folder / "run/loader.json").unlink()
    node.until(lambda: not node.ready)

    assert {"NotAttached", "PinsMissing"} == {each["reason"] for each in node.status["conditions"]}


def test_a_map_that_cannot_be_written_is_not_ready(node: Node) -> None:
    """And is tried again at the next occasion."""
    node.state["error"] = PermissionError(1, "Operation not permitted")
    node.agent.start()
    assert "the map cannot be written: [Errno 1] Operation not permitted" in node.status["problems"]
    assert not node.ready
    node.state["error"] = None
    node.agent.full_check()
    assert node.ready


def test_a_full_map_is_said(node: Node) -> None:
    """The agent goes on with what there is room for."""
    node.state["error"] = OSError(7, "Argument list too long")
    node.agent.start()

    assert 3 == node.status["counts"]["mapEntriesMissing"]
    assert "MapFull" == node.status["conditions"][2]["reason"]


def test_the_full_check_repairs_what_no_event_told(node: Node) -> None:
    """An entry deleted by somebody, a pod whose announcement was dropped, a manifest changed unseen."""
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.state["map"].clear()
    make(node.root, SYSTEMD)
    node.agent.full_check()

    assert [800, 500] == [node.priority(path) for path in ("kubepods.slice", SYSTEMD)]


def test_an_unreadable_tree_deletes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tree is not an empty tree."""
    node.agent.start()
    before = dict(node.state["map"])
    monkeypatch.setattr(treewatch, "scan", scan)
    node.agent.full_check()

    assert before == node.state["map"]
    assert "is not a cgroup v2 mount" in node.status["problems"][0]
    assert not node.ready


def test_a_state_that_cannot_be_saved_is_said(node: Node) -> None:
    """Enforcement goes on."""
    node.agent.start()
    (node.folder / "state/checkpoint.json").unlink()
    (node.folder / "state/checkpoint.json").mkdir()
    node.put("pod.json", raw_pod())
    node.until(lambda: any("the checkpoint cannot be written" in each for each in node.status["problems"]))
    assert node.ready


def test_the_checkpoint_is_enforced_where_manifests_are_not_there(node: Node) -> None:
    """A node that boots without them has what it last knew."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    (node.folder / "manifests").rename(node.folder / "elsewhere")
    node.state["map"].clear()
    node.restart()

    assert 300 == node.priority(SYSTEMD)
    assert not node.ready
