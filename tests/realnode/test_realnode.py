# SPDX-License-Identifier: Apache-2.0
"""oompolicy on a node with a kubelet: the victims, their Events, and enforcement without an agent.

The order of the tests matters, because the last one uninstalls oompolicy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cluster.waiting import eventually
from tests.realnode.pods import stormy
from tests.realnode.realcluster import SLOW_SECONDS
from tests.realnode.settings import NODE_NAME
from tests.realnode.stage import HUNGRY, KILLED, OF_KERNEL, OF_POLICIES, PRIORITIES, REPORT, about_kills_in
from tests.realnode.witness import watching
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.endtoend.eventlog import Seen
    from tests.realnode.realcluster import RealCluster
    from tests.realnode.stage import Stage
    from tests.realnode.witness import Witness

STORM = ("batch", "storm")
PROOF = "oompolicy-proof"
"""The name of the processes of the proof, and of their cgroup."""


def test_helm_test_succeeds(installed: RealCluster) -> None:
    """The test of the chart runs as a pod of the cluster."""
    assert "Phase:          Succeeded" in installed.helm("test", "oompolicy")


def test_a_new_installation_audits(stage: Stage) -> None:
    """The kernel kills the pod that takes all memory. Its Event names the process that the policies would kill.

    The loader has made the proof before, and ended as usual. The processes of the proof are in no report.
    """
    assert "Audit" == stage.cluster.mode()
    assert ("True", "Proved") == stage.cluster.condition("Proven")
    stage.cluster.set_settings("Audit", discloseOtherNamespaces=True)
    killed = stage.run_out_of_memory()
    seen = stage.events.wait(
        "the audited Event", lambda each: each.reason == KILLED and "mode Audit" in each.note, seconds=120
    )

    assert f"of pod {'/'.join(HUNGRY)}: scope Node" in seen.note
    assert "mode Audit: the policy would have killed" in seen.note
    assert f"of pod {'/'.join(REPORT)}, priority 100" in seen.note
    assert killed
    assert list(OF_KERNEL[: len(killed)]) == killed
    assert 2 <= len(re.findall(rf"Killed process \d+ \({PROOF}\)", stage.cluster.guest.order("shell", script="dmesg")))
    assert [] == [each.note for each in stage.events.wait_for_sum(about_the_proof, 0, seconds=0)]
    assert PROOF not in json.dumps(stage.api.get("OOMNode", NODE_NAME)["status"]["lastVictims"])
    assert ("Completed", 0) == stage.loader_end()


def about_the_proof(seen: Seen) -> bool:
    return PROOF in seen.note


def test_a_selector_enforces_on_the_node(stage: Stage) -> None:
    """The label of the Node gives it the mode, and the next tests run in this mode."""
    entry = {"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}
    stage.cluster.set_settings("Audit", nodeModes=[entry])
    stage.cluster.kubectl("label", "node", NODE_NAME, "pool=canary")
    eventually(stage.cluster.mode, lambda found: found == "Enforce", deadline=60)

    assert "Phase:          Succeeded" in stage.cluster.helm("test", "oompolicy")


def test_order_comes_through_the_kubelet(stage: Stage) -> None:
    """`oompolicy order` asks the agent through the API server and the kubelet, and names the pod that dies next."""
    found = json.loads(oompolicy(stage, "order", "-o", "json"))
    print(oompolicy(stage, "order"), oompolicy(stage, "order", "-o", "wide"), sep="\n")
    tested = {"/".join(name): name for name in PRIORITIES}
    order = [each for each in found["order"] if f"{each['namespace']}/{each['pod']}" in tested]

    assert (NODE_NAME, "EvaluateTask", "Enforce") == (found["node"], found["backend"], found["mode"])
    assert [100, 500, 900] == [each["priority"] for each in order]
    assert REPORT == (found["order"][0]["namespace"], found["order"][0]["pod"])
    # The database has 100 MiB, and the other two 60 MiB each.
    assert [60, 60, 100] == [each["memory"] // (20 << 20) * 20 for each in order]
    assert min(each["kernel"] for each in order) == order[-1]["kernel"]
    listening = stage.cluster.guest.order("shell", script="ss -Hltn")
    assert ":10248" in listening, "the kubelet is not in the list"
    assert ":9809" not in listening


def oompolicy(stage: Stage, *words: str) -> str:
    """Run the command line on this machine, with the kubeconfig of an admin."""
    path = os.pathsep.join(map(str, (CHECKOUT / "operator", CHECKOUT / "agent")))
    done = subprocess.run(
        [sys.executable, "-m", "oompolicy", *words],
        env={**os.environ, "KUBECONFIG": str(stage.cluster.cluster.admin), "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=SLOW_SECONDS,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def witness(stage: Stage) -> Iterator[Witness]:
    """Yield the witness of docs/trace.md. It waits for an OOM."""
    with watching(stage.cluster) as found:
        yield found


@pytest.mark.usefixtures("witness")
def test_the_lowest_priority_dies_and_its_pod_has_an_event(stage: Stage) -> None:
    """The priority decides against QoS class and size. The kubelet restarts the victim, and the others go on."""
    before = {name: stage.container(name)["containerID"] for name in PRIORITIES}
    killed = stage.run_out_of_memory()
    event = stage.killed_event(REPORT)
    after = {name: stage.container(name) for name in PRIORITIES}

    assert killed
    assert list(OF_POLICIES[: len(killed)]) == killed
    assert "scope Node: the node ran out of memory; priority 100" in event.note
    ended = after[REPORT]["lastState"]["terminated"]
    assert ("OOMKilled", 137) == (ended["reason"], ended["exitCode"])
    assert set(killed) - {HUNGRY} == {name for name in PRIORITIES if before[name] != after[name]["containerID"]}
    printed = stage.cluster.kubectl("get", "events", "--namespace=batch", f"--field-selector=reason={KILLED}")
    assert "pod/report" in printed


def test_the_witness_saw_the_victim(stage: Stage, witness: Witness) -> None:
    """The command of docs/trace.md shows the OOM of the test above. Ctrl-C ends it, and no probe remains."""
    text = eventually(lambda: witness.text, lambda seen: "\ntook " in seen, deadline=SLOW_SECONDS)
    uid = stage.pod(REPORT)["metadata"]["uid"]
    # The kubelet has started the container again.
    dead = stage.container(REPORT)["lastState"]["terminated"]["containerID"].rpartition("/")[2]
    probes = witness.probes()
    status = witness.end()
    print(witness.text)

    assert re.search(r"OOM 1 at .*: the whole node, .*, mode Enforce\.", text)
    assert re.search(rf"killed: python3 \(\d+\) in /kubepods/pod{uid}/{dead}, priority 100: chosen", text)
    assert re.search(r"CK.*SELECT.*the policy selected it", text)
    assert {"oom_evaluate_task", "out_of_memory"} <= {line.split()[2].partition("+")[0] for line in probes}
    assert (0, 0) == (status, witness.exit_status())
    assert "Traceback" not in witness.text
    assert set() == witness.probes()


def test_a_node_enforces_without_an_agent(stage: Stage) -> None:
    """The kernel enforces the map, and the next agent reports the kills of the time without an agent."""
    stage.remove_agent()
    reported = stage.reported_kills(REPORT)
    killed = stage.run_out_of_memory()
    stage.restore_agent()
    eventually(lambda: stage.reported_kills(REPORT), lambda seen: seen > reported, deadline=120)

    assert list(OF_POLICIES[: len(killed)]) == killed


def test_the_policy_chooses_every_victim_in_a_rolling_update(stage: Stage) -> None:
    """A pod exceeds its limit all the time while the DaemonSet replaces its pod. Each kill is in an Event."""
    stage.api.create(stormy(*STORM))
    stage.await_running(STORM)
    stage.await_priority(STORM, 100)
    stage.disable_group_kills(STORM)
    stage.cluster.guest.order("follow_kernel_log")
    stage.cluster.helm("upgrade", "oompolicy", "charts/oompolicy", "--reuse-values", "--set=agent.podAnnotations.a=b")
    stage.cluster.await_agent()
    uid = stage.pod(STORM)["metadata"]["uid"]
    stage.api.delete("Pod", STORM[1], STORM[0])
    stage.await_end(uid)
    lines = stage.cluster.guest.order("followed_kernel_log")
    kinds = [kind for line in lines for kind in re.findall("policy_name=oompolicy|Killed process", line)]
    kills = kinds.count("Killed process")
    print(f"{kills} OOMs in a rolling update")

    assert kills >= 10
    assert ["policy_name=oompolicy", "Killed process"] * kills == kinds
    seen = stage.events.wait_for_sum(about_kills_in(uid), kills, seconds=120)
    assert kills <= sum(each.count for each in seen)


def test_one_command_stops_everything(stage: Stage) -> None:
    """The next victim is the kernel's own choice, although the label of the node asks for the mode Enforce."""
    stage.cluster.set_settings("Off", suspend=True)
    killed = stage.run_out_of_memory()
    words = (f"of pod {'/'.join(HUNGRY)}: scope Node", "the mode of the node is Off")
    stage.events.wait(
        "the Event in the mode Off",
        lambda each: each.reason == KILLED and all(word in each.note for word in words),
        seconds=120,
    )
    stage.cluster.set_settings("Enforce", suspend=False)

    assert list(OF_KERNEL[: len(killed)]) == killed


def test_the_kernel_chooses_alone_after_an_uninstall(stage: Stage) -> None:
    """Nothing is pinned, the module is removed, and the next victim is the kernel's own choice: the hungry pod.

    A cgroup that a killed loader left is removed too.
    """
    stage.cluster.guest.order("shell", script=f"mkdir /sys/fs/cgroup/{PROOF}")
    stage.cluster.helm("uninstall", "oompolicy")
    pinned, modules, cgroups = (
        stage.cluster.guest.order("shell", script=script)
        for script in ("ls /sys/fs/bpf/oompolicy 2>&1 || true", "cut -d' ' -f1 /proc/modules", "ls /sys/fs/cgroup")
    )
    stage.cluster.guest.order("follow_kernel_log")
    killed = stage.run_out_of_memory()
    said = "\n".join(stage.cluster.guest.order("followed_kernel_log"))

    assert "No such file or directory" in pinned
    assert "oompolicy_hook" not in modules
    assert PROOF not in cgroups
    assert "Killed process" in said
    assert "policy_name" not in said
    assert list(OF_KERNEL[: len(killed)]) == killed
