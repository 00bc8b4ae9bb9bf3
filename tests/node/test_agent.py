# SPDX-License-Identifier: Apache-2.0
"""The agent on a real node: it reads manifests, writes entries into the map, and reports victims as Events."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.running_agent import RUN_DIR, UID, RunningAgent, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog
    from tests.node.kubelet import Driver, Runtime
    from tests.node.machine import Node
    from tests.node.policy import Policy

DATABASES = policy_manifest(
    "databases", match={"podSelector": {"matchLabels": {"app": "postgres"}}}, priority={"value": 900}
)
BATCH = policy_manifest(
    "batch",
    match={"podSelector": {"matchLabels": {"app": "report"}}},
    priority={"value": 100},
    override={"min": 50, "max": 300},
)


def expect_entries(policy: Policy, wanted: Mapping[Cgroup, int]) -> None:
    """Wait until the map has exactly these priorities."""
    by_id = {cgroup.id: priority for cgroup, priority in wanted.items()}

    def found() -> dict[int, int]:
        return {key: value[0] for key, value in policy.entries.entries().items()}

    wait_until(f"entries {by_id}, last seen {found()}", lambda: found() == by_id)


@pytest.mark.once
@pytest.mark.parametrize(
    ("driver", "runtime"), [("systemd", "containerd"), ("systemd", "cri-o"), ("cgroupfs", "containerd")]
)
def test_every_pod_gets_its_entries(
    node: Node, policy: Policy, agent: RunningAgent, driver: Driver, runtime: Runtime
) -> None:
    """Slices, pods and containers of all QoS classes have entries. The sandbox has no entry of its own."""
    kubelet = Kubelet(node, driver, runtime)
    pods = [
        Pod("postgres-0", qos="Guaranteed", labels={"app": "postgres"}),
        Pod("web", qos="Burstable", containers=("web", "proxy")),
        Pod("report", qos="BestEffort", labels={"app": "report"}, annotations={"oompolicy.dev/priority": "250"}),
        Pod("etcd-node-a", namespace="kube-system", qos="Burstable", static=True),
    ]
    for pod in pods:
        for name in ("POD", *pod.containers):
            kubelet.container(pod, name)
    write_manifests(agent.manifests, DATABASES, BATCH, *(pod.manifest() for pod in pods))
    agent.start()

    priorities = dict(zip((pod.name for pod in pods), (900, 500, 250, 1000), strict=True))
    wanted = {kubelet.kubepods: 800, kubelet.slices["Burstable"]: 500, kubelet.slices["BestEffort"]: 200}
    for pod in pods:
        wanted |= {kubelet.pod(pod): priorities[pod.name]}
        wanted |= {kubelet.container(pod, name): priorities[pod.name] for name in pod.containers}
    expect_entries(policy, wanted)


@pytest.mark.once
def test_agent_has_no_privilege(agent: RunningAgent) -> None:
    """The agent does not run as root, and has no capability in any set."""
    agent.start()
    assert agent.process
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{agent.process.pid}/status").read_text().splitlines())

    assert [str(UID)] * 4 == fields["Uid"].split()
    assert {"0" * 16} == {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@pytest.mark.once
def test_agent_needs_little_memory(agent: RunningAgent) -> None:
    """The agent's private memory is far below the goal of 40 MiB."""
    agent.start()
    assert agent.process
    rollup = Path(f"/proc/{agent.process.pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    print(f"agent: {private} KiB private, {kib['Rss']} KiB RSS")

    assert private < 25 * 1024


class Shop:
    """A database and a batch job below one node's allocatable memory."""

    def __init__(self, node: Node, agent: RunningAgent) -> None:
        self.node, self.kubelet = node, Kubelet(node)
        self.postgres = Pod("postgres-0", namespace="shop", labels={"app": "postgres"})
        self.report = Pod("report-x", namespace="batch", labels={"app": "report"})
        write_manifests(agent.manifests, DATABASES, BATCH, self.postgres.manifest(), self.report.manifest())
        self.hogs: dict[str, Hog] = {}
        self.killed: list[Hog] = []
        self.restart_dead()

    def container(self, pod: Pod) -> Cgroup:
        return self.kubelet.container(pod, "app")

    def run(self, pod: Pod, mib: int, name: str) -> None:
        """Start the pod's process unless it lives."""
        if name not in self.hogs or not self.hogs[name].alive:
            self.hogs[name] = self.node.hog(self.container(pod), mib, options=["--name", name])

    def restart_dead(self) -> None:
        self.run(self.postgres, 30, "postgres")
        self.run(self.report, 12, "report")

    def out_of_memory(self, place: Cgroup | None = None) -> list[str]:
        """Run the kubepods cgroup out of memory, and return the victims' names in the kernel's order.

        The trigger is in `place`, or else in an unknown pod.
        """
        trigger = self.node.hog(place or self.kubelet.kubepods.child("trigger"), 0, options=["--name", "kubelet"])
        self.killed = run_out_of_memory(trigger, self.hogs.values())
        trigger.end()
        return [name for hog in self.killed for name, each in self.hogs.items() if hog is each]

    def await_entry(self, policy: Policy) -> None:
        cgroup_id = self.container(self.report).id
        wait_until("the job's entry", lambda: policy.entries.get(cgroup_id))


def test_a_kill_becomes_an_event_on_the_victims_pod(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """An events.k8s.io/v1 Event on the pod names the victim, the reason and the spared task."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    assert "report" == shop.out_of_memory()[0]

    event = wait_until("an Event", agent.events)[0]
    assert ("events.k8s.io/v1", "Event", "OOMVictimKilled", "Kill", "Warning") == (
        event["apiVersion"],
        event["kind"],
        event["reason"],
        event["action"],
        event["type"],
    )
    regarding = event["regarding"]
    assert ("Pod", "batch", "report-x", shop.report.uid, "spec.containers{app}") == (
        regarding["kind"],
        regarding["namespace"],
        regarding["name"],
        regarding["uid"],
        regarding["fieldPath"],
    )
    assert "batch" == event["related"]["name"]
    for word in (f"report (pid {shop.killed[0].pid}", "container app", "priority 100", "OOMPolicy batch", "postgres-0"):
        assert word in event["note"]
    assert re.search(r"trigger: kubelet \(pid \d+\) in an unknown pod; spared: postgres", event["note"])


@pytest.mark.parametrize("depth", [1, 14])
def test_trigger_is_named_although_its_nested_cgroup_is_gone(
    node: Node, policy: Policy, agent: RunningAgent, depth: int
) -> None:
    """The Event names a tenant's pod, even if the tenant nests its cgroups or removes them after the kill."""
    shop = Shop(node, agent)
    tenant = Pod("tenant", namespace="evil")
    nested = shop.container(tenant).child("/".join(["nested"] * depth))
    write_manifests(agent.manifests, tenant.manifest())
    agent.start()
    wait_until("the tenant's entry", lambda: policy.entries.get(shop.container(tenant).id))
    wait_until("a checkpoint that knows the tenant", lambda: agent.knows(tenant))
    agent.kill()
    assert "report" == shop.out_of_memory(nested)[0]
    shop.container(tenant).child("nested").remove()
    agent.start()

    note = wait_until("an Event", agent.events)[0]["note"]
    assert re.search(r"trigger: kubelet \(pid \d+\) in container app of pod evil/tenant; spared: postgres", note)


def test_a_task_that_dies_with_its_pod_is_not_reported_as_spared(
    node: Node, policy: Policy, agent: RunningAgent
) -> None:
    """The whole pod dies because of memory.oom.group on its cgroup, so no Event names a spared task."""
    kubelet = Kubelet(node)
    annotations = {"oompolicy.dev/container.big": "200"}
    pair = Pod("pair", labels={"app": "report"}, containers=("small", "big"), annotations=annotations)
    kubelet.pod(pair).write("memory.max", 24 << 20)
    kubelet.pod(pair).write("memory.oom.group", 1)
    small, big = (
        node.hog(kubelet.container(pair, name), mib, options=["--name", name])
        for name, mib in (("small", 4), ("big", 8))
    )
    write_manifests(agent.manifests, BATCH, pair.manifest())
    agent.start()
    wait_until("the entry", lambda: policy.entries.get(kubelet.container(pair, "big").id) == (200, 16 << 20))
    assert [small, big] == run_out_of_memory(big, [small])

    wait_until("two Events", lambda: len(agent.events()) == 2)
    first, second = (event["note"] for event in agent.events())
    assert f"killed small (pid {small.pid}" in first
    assert f"killed big (pid {big.pid}" in second
    assert "killed together with the chosen process" in second
    assert not any("spared" in note for note in (first, second))


def test_victim_is_named_after_its_cgroup_is_gone(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """The Event is correct, even if the victim dies and its cgroup is removed while no agent runs."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    wait_until("a checkpoint that knows the pod", lambda: agent.knows(shop.report))
    agent.kill()
    assert "report" == shop.out_of_memory()[0]
    shop.kubelet.pod(shop.report).remove()
    (agent.manifests / "pod-batch-report-x.yaml").unlink()
    agent.start()

    event = wait_until("an Event", agent.events)[0]
    assert ("Pod", "report-x") == (event["regarding"]["kind"], event["regarding"]["name"])
    assert "container app" in event["note"]


@pytest.mark.once
def test_each_kill_of_a_storm_has_one_event_although_the_agent_was_killed(
    node: Node, policy: Policy, agent: RunningAgent
) -> None:
    """The agent is killed before and during a storm. Each victim has the lowest priority, and has one Event."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    killed: list[int] = []
    for number in range(20):
        if number in {3, 12}:
            agent.kill()
        if number in {7, 16}:
            agent.start()
        assert "report" == shop.out_of_memory()[0]
        killed += [hog.pid for hog in shop.killed]
        shop.restart_dead()
    wait_until("all Events", lambda: len(agent.events()) >= len(killed))

    notes = agent.events()
    assert len(killed) == len(notes) == len({event["metadata"]["name"] for event in notes})
    for pid, event in zip(killed, notes, strict=True):
        assert f"(pid {pid}" in event["note"]


def test_pod_created_in_a_storm_has_its_class_and_then_its_own_priority(
    node: Node, policy: Policy, agent: RunningAgent
) -> None:
    """A new pod has the priority of its slice at once, and its own priority when the agent has read the pod."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    assert "report" == shop.out_of_memory()[0]
    shop.restart_dead()
    late = Pod("late", labels={"app": "report"}, annotations={"oompolicy.dev/priority": "60"})
    shop.run(late, 4, "late")
    assert "report" == shop.out_of_memory()[0]

    write_manifests(agent.manifests, late.manifest())
    wait_until("the late pod's own priority", lambda: policy.entries.get(shop.container(late).id) == (60, 16 << 20))
    shop.restart_dead()
    shop.run(late, 4, "late")
    assert "late" == shop.out_of_memory()[0]


@pytest.mark.once
def test_changed_annotation_changes_the_entry(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """A changed annotation reaches the map. A value outside the policy's range does not, and the status reports it."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    cgroup_id = shop.container(shop.report).id
    shop.report.annotations["oompolicy.dev/priority"] = "222"
    write_manifests(agent.manifests, shop.report.manifest())
    wait_until("222 in the map", lambda: policy.entries.get(cgroup_id) == (222, 16 << 20))

    shop.report.annotations["oompolicy.dev/priority"] = "999"
    write_manifests(agent.manifests, shop.report.manifest())
    refusal = wait_until("a refusal", lambda: agent.status()["refusals"])[0]
    assert ("report-x", "999") == (refusal["name"], refusal["value"])
    wait_until("the policy's own value", lambda: policy.entries.get(cgroup_id) == (100, 16 << 20))


@pytest.mark.once
def test_invalid_manifest_keeps_the_last_good_state(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """The agent is not ready and names file, object and field. The entries stay, also after a restart."""
    shop = Shop(node, agent)
    agent.start()
    shop.await_entry(policy)
    entries = policy.entries.entries()
    write_manifests(agent.manifests, policy_manifest("batch", priority={"value": 5000}))
    wait_until("not ready", lambda: agent.condition("Ready")["status"] == "False")

    message = agent.condition("Ready")["message"]
    for word in ("oompolicy--batch.yaml", "OOMPolicy/batch", "spec.priority.value"):
        assert word in message
    assert entries == policy.entries.entries()
    agent.kill(signal.SIGTERM)
    agent.start()
    assert entries == policy.entries.entries()
    assert "False" == agent.condition("Ready")["status"]
    assert "report" == shop.out_of_memory()[0]

    write_manifests(agent.manifests, BATCH)
    wait_until("ready", lambda: agent.condition("Ready")["status"] == "True")


@pytest.mark.once
def test_pod_without_a_cgroup_is_not_mapped_until_it_has_one(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """The status reports the pod, and the agent writes its entry as soon as the cgroup appears."""
    kubelet, pod = Kubelet(node), Pod("report-x", labels={"app": "report"})
    write_manifests(agent.manifests, BATCH, pod.manifest())
    agent.start()
    assert ["report-x"] == [each["name"] for each in agent.status()["notMapped"]]

    cgroup_id = kubelet.container(pod, "app").id
    wait_until("its entry", lambda: policy.entries.get(cgroup_id) == (100, 16 << 20), seconds=5)
    wait_until("nothing left", lambda: not agent.status()["notMapped"])


@pytest.mark.once
def test_pod_without_its_object_keeps_its_entry(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """A pod that was deleted by force still runs. Its entry stays until its cgroup is removed, also after a restart."""
    kubelet, pod = Kubelet(node), Pod("report-x", labels={"app": "report"})
    container, cgroup = kubelet.container(pod, "app").id, kubelet.pod(pod)
    write_manifests(agent.manifests, BATCH, pod.manifest())
    agent.start()
    wait_until("its entry", lambda: policy.entries.get(container) == (100, 16 << 20))
    (agent.manifests / "pod-default-report-x.yaml").unlink()
    wait_until("no pod", lambda: agent.status()["counts"]["pods"] == 0)
    agent.kill(signal.SIGTERM)
    agent.start()

    assert [(100, 16 << 20)] * 2 == [policy.entries.get(each) for each in (container, cgroup.id)]
    cgroup.remove()
    assert policy.entries.get(container) is None


@pytest.mark.once
def test_second_agent_is_refused(agent: RunningAgent, tmp_path: Path) -> None:
    """Only one agent on a node can read the ring buffers. The second one reports this and ends."""
    agent.start()
    second = RunningAgent(tmp_path / "agent", RUN_DIR)
    second.start()
    wait_until("its end", second.ended)

    assert second.process
    assert 1 == second.process.returncode
    assert "another agent" in agent.log.read_text()


@pytest.mark.once
@pytest.mark.parametrize(("name", "value"), [("vm.oom_kill_allocating_task", 1), ("vm.panic_on_oom", 1)])
def test_settings_that_bypass_the_hook_are_reported(node: Node, agent: RunningAgent, name: str, value: int) -> None:
    """The condition Enforcing names a setting with which the kernel does not call the hook."""
    node.sysctl(name, value)
    agent.start()

    assert name in agent.condition("Enforcing")["message"]
