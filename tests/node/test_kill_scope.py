# SPDX-License-Identifier: Apache-2.0
"""The kill scope of a policy decides which processes die together, and the kubelet's values come back after it."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Assignment, KillScope
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.mapping.killgroups import kill_groups
from tests.node.cgroup import ROOT
from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.policy import flags
from tests.node.running_agent import RUN_DIR, RunningAgent, agent_in, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy
    from tests.node.running_adjuster import RunningAdjuster

PAIR, OTHER = Pod("pair", labels={"app": "pair"}, containers=("app", "sidecar")), Pod("other")
pytestmark = pytest.mark.once

PRIORITIES = {"small": 100, "proxy": 300, "pause": 300}
KUBELETS = {"pod": 0, "app": 1, "sidecar": 1, "sandbox": 0}
CONTAINER, POD, PROCESS = KillScope.CONTAINER, KillScope.POD, KillScope.PROCESS


class Scene:
    """A pod of two containers and its sandbox, and another pod. The processes of `app` have the lowest priority."""

    def __init__(self, node: Node, adjuster: RunningAdjuster) -> None:
        self.node, self.adjuster, self.kubelet = node, adjuster, Kubelet(node, root_limit=400)
        self.pod = self.kubelet.pod(PAIR)
        self.app, self.sidecar = (self.kubelet.container(PAIR, name) for name in PAIR.containers)
        self.sandbox, self.other = self.kubelet.container(PAIR, "POD"), self.kubelet.container(OTHER, "app")
        names = {"big": (self.app, 16, 0), "small": (self.app, 4, 0), "proxy": (self.sidecar, 4, 0)}
        names |= {"pause": (self.sandbox, 1, -998), "other": (self.other, 8, 0)}
        self.hogs = {name: node.hog(cgroup, mib, adj=adj) for name, (cgroup, mib, adj) in names.items()}

    @property
    def values(self) -> dict[str, int]:
        cgroups = {"pod": self.pod, "app": self.app, "sidecar": self.sidecar, "sandbox": self.sandbox}
        return {name: int((cgroup.path / "memory.oom.group").read_text()) for name, cgroup in cgroups.items()}

    def request(self, scope: KillScope | None) -> None:
        """Ask for a scope as the agent does on a node with the hook: the mode of the scores is Off."""
        assignment = Assignment(PAIR.uid, PAIR.uid, "default", "pair", 100, "", "policy", kill_scope=scope)
        self.adjuster.want("Off", {}, kill_groups([assignment], scan(ROOT)))

    def expect(self, scope: KillScope | None) -> None:
        """Wait until the values are those of the scope."""
        of_pod, of_containers = int(scope is POD), int(scope is not PROCESS)
        wanted = {"pod": of_pod, **dict.fromkeys(("app", "sidecar", "sandbox"), of_containers)}
        wait_until(f"the values of {scope}", lambda: self.values == (wanted if scope else KUBELETS))

    def apply(self, scope: KillScope) -> None:
        self.request(scope)
        self.adjuster.start()
        self.expect(scope)

    def out_of_memory(self, trigger: Hog) -> list[Hog]:
        return run_out_of_memory(trigger, self.hogs.values())


@pytest.fixture
def scene(node: Node, adjuster: RunningAdjuster, policy: Policy) -> Scene:
    made = Scene(node, adjuster)
    policy.set({made.app: 100, made.sidecar: 300, made.pod: 300, made.other: 900})
    return made


@pytest.mark.parametrize(
    ("scope", "together"),
    [(CONTAINER, {"small"}), (POD, {"small", "proxy", "pause"}), (PROCESS, set())],
)
@pytest.mark.parametrize("place", ["pods", "node"])
def test_a_scope_decides_which_processes_die_with_the_chosen_one(
    scene: Scene, policy: Policy, place: str, scope: KillScope, together: set[str]
) -> None:
    """The priority chooses the same process at the limit of all pods and on the whole node.

    In the scope `Pod`, a container of a higher priority and the sandbox die with it. Each dead process has a record
    with its priority. On the whole node, the next OOM may kill another process before the memory of the first is free.
    """
    scene.apply(scope)
    if place == "node":
        scene.node.fill()
    else:
        scene.kubelet.kubepods.write("memory.max", 64 << 20)
    trigger = scene.node.hog(scene.node.cgroup("system.slice/x") if place == "node" else scene.other, 0)
    dead = scene.out_of_memory(trigger)

    records = {record.victim_tgid: record for record in policy.records()}
    found = {name: records[hog.pid] for name, hog in scene.hogs.items() if hog.pid in records}
    members = {name: record.priority for name, record in found.items() if VictimFlag.GROUP in flags(record)}
    assert scene.hogs["big"] is dead[0]
    assert {name: PRIORITIES[name] for name in together} == members
    assert {hog.pid for hog in dead} == set(records)


@pytest.mark.parametrize(
    ("scope", "names"), [(CONTAINER, {"big", "small"}), (POD, {"big", "small"}), (PROCESS, {"big"})]
)
def test_at_the_limit_of_a_container_the_pod_lives(scene: Scene, scope: KillScope, names: set[str]) -> None:
    """The kernel does not use the value of the pod then, so `Pod` kills as much as `Container`."""
    scene.app.write("memory.max", 24 << 20)
    scene.apply(scope)
    big = scene.hogs["big"]
    dead = scene.out_of_memory(big)

    assert names == {name for name, hog in scene.hogs.items() if hog in dead}


def test_a_process_that_the_kernel_may_not_kill_outlives_its_pod(scene: Scene) -> None:
    """The kernel kills no process with an oom_score_adj of -1000, not even with its group."""
    never = scene.node.hog(scene.app, 1, adj=-1000)
    scene.pod.write("memory.max", 48 << 20)
    scene.apply(POD)
    dead = scene.out_of_memory(scene.node.hog(scene.sidecar, 0))

    assert {scene.hogs[name] for name in ("big", "small", "proxy", "pause")} <= set(dead)
    assert never.alive


def test_the_kubelets_values_come_back_when_no_policy_asks(scene: Scene, adjuster: RunningAdjuster) -> None:
    """This is the mode Off, or a policy without kill scope. Scopes may follow each other before it."""
    scene.apply(POD)
    scene.request(PROCESS)
    scene.expect(PROCESS)
    scene.request(None)
    scene.expect(None)

    # The adjuster forgets a value after it has restored it.
    remembered = adjuster.state / "killgroups.json"
    wait_until("no value is remembered", lambda: '"cgroups": {}' in remembered.read_text())


def test_a_killed_adjuster_loses_no_value(scene: Scene, adjuster: RunningAdjuster) -> None:
    """SIGKILL changes nothing. The next adjuster follows a change that came meanwhile, and knows the first values."""
    scene.apply(PROCESS)
    adjuster.kill(signal.SIGKILL)
    scene.expect(PROCESS)
    scene.request(POD)
    adjuster.start()
    scene.expect(POD)
    adjuster.kill(signal.SIGKILL)
    scene.request(None)
    adjuster.start()

    scene.expect(None)


def test_the_command_restores_without_a_request(scene: Scene, adjuster: RunningAdjuster) -> None:
    scene.apply(POD)
    adjuster.kill(signal.SIGTERM)
    scene.expect(POD)
    done = subprocess.run(adjuster.command("--restore"), capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert KUBELETS == scene.values


def test_a_container_that_ends_is_forgotten(scene: Scene, adjuster: RunningAdjuster) -> None:
    scene.apply(PROCESS)
    before = scene.app.id
    scene.app.remove()
    scene.request(PROCESS)

    wait_until(
        "the cgroup to be forgotten", lambda: str(before) not in (adjuster.state / "killgroups.json").read_text()
    )
    assert "cannot be read or written" not in adjuster.log.read_text()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with agent_in(tmp_path) as agent:
        yield agent


def test_a_policy_makes_a_pod_die_as_a_whole_with_an_event_for_each_process(
    scene: Scene, adjuster: RunningAdjuster, agent: RunningAgent
) -> None:
    """Agent and adjuster apply the policy together, and the end of the policy brings the kubelet's values back.

    Each process has an Event with its own priority. All but the chosen one died because of the kill scope.
    """
    adjuster.run_dir = RUN_DIR
    match, offset = {"podSelector": {"matchLabels": {"app": "pair"}}}, {"name": "sidecar", "offset": 200}
    whole = policy_manifest("whole", match=match, priority={"value": 100}, containers=[offset], killScope="Pod")
    write_manifests(agent.manifests, whole, PAIR.manifest(), OTHER.manifest())
    agent.start()
    adjuster.start()
    scene.expect(POD)
    scene.kubelet.kubepods.write("memory.max", 64 << 20)
    dead = scene.out_of_memory(scene.node.hog(scene.other, 0))

    names = {"big": 100, "small": 100, "proxy": 300, "pause": 100}
    assert {scene.hogs[name] for name in names} == set(dead)
    wait_until("an Event for each process", lambda: len(agent.events()) >= len(names))
    notes = [event["note"] for event in agent.events()]
    for name, priority in names.items():
        (note,) = [each for each in notes if f"(pid {scene.hogs[name].pid}," in each]
        assert f"; priority {priority} from OOMPolicy whole" in note
        assert (name != "big") == ("killed together with the chosen process" in note)
    (agent.manifests / "oompolicy--whole.yaml").unlink()
    scene.expect(None)


def test_a_node_without_an_adjuster_says_that_no_kill_scope_applies(scene: Scene, agent: RunningAgent) -> None:
    """The node stays ready and enforces the priorities. The kubelet's values stay."""
    match = {"podSelector": {"matchLabels": {"app": "pair"}}}
    whole = policy_manifest("whole", match=match, priority={"value": 100}, killScope="Pod")
    write_manifests(agent.manifests, whole, PAIR.manifest())
    agent.start()
    wait_until("the condition", lambda: agent.condition("Synced")["reason"] == "KillScopeNotApplied", seconds=120)

    assert (
        "killScope Pod of OOMPolicy whole is not in force for pod default/pair" in agent.condition("Synced")["message"]
    )
    assert "True" == agent.condition("Ready")["status"]
    assert KUBELETS == scene.values
