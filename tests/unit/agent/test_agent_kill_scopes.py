# SPDX-License-Identifier: Apache-2.0
"""The whole agent asks the adjuster for the kill scopes of the policies, and says if they are not in force."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.adjuster import wanted
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import PAUSE, SYSTEMD, id_of, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.agent.fakenode import Node


def settings(mode: str) -> dict[str, Any]:
    metadata, spec = {"name": "cluster"}, {"mode": mode}
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": metadata, "spec": spec}


def policy(scope: str) -> dict[str, Any]:
    raw = raw_policy(value=300)
    return {**raw, "spec": {**raw["spec"], "killScope": scope}}


def groups(node: Node) -> Mapping[int, bool]:
    return wanted.parse((node.folder / "run/wanted.json").read_bytes()).kill_groups


def synced(node: Node) -> tuple[str, str]:
    (found,) = [each for each in node.status["conditions"] if each["type"] == "Synced"]
    return found["status"], found["reason"]


def put_values(node: Node, **values: int) -> None:
    for name, value in values.items():
        path = SYSTEMD if name == "pod" else CONTAINER
        (node.root / path / "memory.oom.group").write_text(f"{value}\n")


@pytest.fixture
def whole(node: Node) -> Node:
    """Return the node with the hook, and a pod whose policy asks for the scope `Pod`."""
    node.settings = replace(node.settings, unapplied_after=0.0, full_check=0.05)
    make(node.root, CONTAINER)
    put_values(node, pod=0, container=1)
    node.put("pod.json", raw_pod())
    node.put("policy.json", policy("Pod"))
    node.restart()
    return node


def test_the_request_has_pod_and_container(whole: Node) -> None:
    """The node has the hook, so the adjuster gets no priorities, and the mode of the scores is Off."""
    pod, container = id_of(whole.root, SYSTEMD), id_of(whole.root, CONTAINER)
    found = wanted.parse((whole.folder / "run/wanted.json").read_bytes())

    assert ("Off", {}, {pod: True, container: True}) == (found.mode, found.cgroups, found.kill_groups)
    whole.put("policy.json", policy("Process"))
    whole.until(lambda: groups(whole) == {pod: False, container: False})
    whole.put("policy.json", raw_policy(value=300))
    whole.until(lambda: groups(whole) == {})


@pytest.mark.parametrize("mode", ["Audit", "Off"])
def test_no_kill_scope_applies_without_enforcement(whole: Node, mode: str) -> None:
    """In Audit the node writes nothing. The values need not be in force then."""
    whole.until(lambda: synced(whole) == ("False", "KillScopeNotApplied"))
    whole.put("settings.json", settings(mode))
    whole.until(lambda: groups(whole) == {})
    whole.until(lambda: synced(whole) == ("True", "Synced"))


def test_a_restart_of_the_agent_restores_nothing(whole: Node) -> None:
    """The manifests are invalid and there is no checkpoint, so the new agent does not know the policies."""
    before = groups(whole)
    whole.put("policy.json", {"kind": "OOMPolicy"})
    whole.agent.stop()
    (whole.folder / "state/checkpoint.json").unlink()
    (whole.folder / "run/status.json").unlink()
    whole.loop.close()
    whole.boot()
    whole.agent.start()

    assert before
    assert before == groups(whole)


def test_a_kill_scope_that_no_adjuster_applies_is_in_the_status(whole: Node) -> None:
    """The node stays ready, because the priorities apply. The message names policy, pod and remedy."""
    whole.until(lambda: synced(whole) == ("False", "KillScopeNotApplied"))
    (problem,) = whole.status["problems"]

    assert whole.ready
    assert "killScope Pod of OOMPolicy web is not in force for pod team-a/web-0: no adjuster" in problem
    assert "set killScope.enabled in the chart" in problem
    put_values(whole, pod=1)
    whole.until(lambda: synced(whole) == ("True", "Synced"))


def delete_object(node: Node) -> None:
    """Delete the pod's object. Its processes run on until the grace period ends."""
    (node.folder / "manifests/pod.json").unlink()
    node.until(lambda: node.status["counts"]["pods"] == 0)


@pytest.mark.parametrize("scope", ["Pod", "Container", "Process"])
def test_a_deleted_object_leaves_the_kill_scope(node: Node, scope: str) -> None:
    """A pod that is deleted by force runs on. A container that starts before it ends has the kill scope too."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", policy(scope))
    node.agent.start()
    before = groups(node)
    assert 2 == len(before)
    delete_object(node)
    sandbox = node.make(f"{SYSTEMD}/cri-containerd-{PAUSE}.scope")

    node.until(lambda: sandbox in groups(node))
    assert {**before, sandbox: scope != "Process"} == groups(node)


def test_a_restart_leaves_the_kill_scope_of_a_deleted_object(whole: Node) -> None:
    """The checkpoint has it, as it has the priority. It ends with the cgroup."""
    before = groups(whole)
    delete_object(whole)
    whole.restart()
    assert before == groups(whole)
    shutil.rmtree(whole.root / SYSTEMD)
    whole.agent.full_check()
    assert {} == groups(whole)


def test_the_owners_policy_does_not_come_back_for_a_known_pod(whole: Node) -> None:
    """A pod with an object follows the policies. Only a pod without one keeps the last kill scope."""
    whole.put("policy.json", raw_policy(value=300))
    whole.until(lambda: groups(whole) == {})
    delete_object(whole)

    assert {} == groups(whole)
