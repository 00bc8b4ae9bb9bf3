# SPDX-License-Identifier: Apache-2.0
"""Strict order from `oom_score_adj` alone, on a kernel without any program or module of ours."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import closing
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster.processes import Processes
from tests.node.hog import run_out_of_memory
from tests.node.model import HOST_PRIORITY, PAGE
from tests.node.policy import BPFFS
from tests.node.running_adjuster import Scores, all_scores, is_ordered, score, usage
from tests.node.running_agent import wait_until
from tests.node.scene import OOMS_PER_SCENE, STRICT, VARIANTS
from tests.node.scored_scene import ScoredScene
from tests.node.test_order import cgroup_of
from tests.node.test_random import seed_of_this_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.running_adjuster import RunningAdjuster

pytestmark = pytest.mark.scores

OOMS = int(os.environ.get("OOMPOLICY_SCORED_OOMS", "100"))
LIMIT_MIB = 64
NODE_PAGES = os.sysconf("SC_PHYS_PAGES")
SIZES = {"small": 6, "middle": 12, "big": 20}


@pytest.fixture(autouse=True)
def _bare(bare: None) -> None:
    assert bare is None
    assert not BPFFS.exists()
    assert not Path("/sys/module/oompolicy_hook").exists()


def three(node: Node, **files: int) -> dict[str, Hog]:
    """Start three containers of different sizes, each with another value of the kubelet."""
    node.cgroup("kubepods", **files)
    values = {"small": -997, "middle": 300, "big": 1000}
    return {
        name: node.hog(node.cgroup(f"kubepods/pod-{name}/container"), mib, adj=values[name])
        for name, mib in SIZES.items()
    }


def priorities_of(hogs: Mapping[str, Hog], *names: str) -> dict[Cgroup, int]:
    return {cgroup_of(hogs[name]): 100 * place for place, name in enumerate(names, 1)}


@pytest.mark.parametrize("names", list(permutations(SIZES)))
def test_three_priorities_die_in_order_at_the_limit_of_all_pods(
    node: Node, adjuster: RunningAdjuster, names: tuple[str, ...]
) -> None:
    """One OOM after the other kills the priorities from the lowest upwards, whichever process is larger."""
    hogs = three(node, memory__max=LIMIT_MIB << 20)
    trigger_cgroup = node.cgroup("kubepods/pod-trigger/container")
    adjuster.want("Enforce", {**priorities_of(hogs, *names), trigger_cgroup: HOST_PRIORITY})
    adjuster.start()
    died: list[Hog] = []
    while len(died) < len(names):
        left = [hogs[name] for name in names if hogs[name] not in died]
        wait_until("the order", partial(is_ordered, left, (LIMIT_MIB << 20) // PAGE))
        trigger = node.hog(trigger_cgroup, 0)
        died += [hog for hog in run_out_of_memory(trigger, left) if hog is not trigger]
        trigger.end()

    assert [hogs[name] for name in names] == died


@pytest.mark.parametrize("names", [("small", "middle", "big"), ("middle", "big", "small")])
def test_the_lowest_priority_dies_first_on_the_whole_node(
    node: Node, adjuster: RunningAdjuster, names: tuple[str, ...]
) -> None:
    """A host process without a score outlives all three, although it is larger than any of them."""
    hogs = three(node)
    daemon = node.hog(node.cgroup("system.slice/sshd.service"), 60)
    adjuster.want("Enforce", priorities_of(hogs, *names))
    adjuster.start()
    node.fill()
    wait_until("the order", lambda: is_ordered([*(hogs[name] for name in names), daemon], NODE_PAGES))
    dead = run_out_of_memory(node.hog(node.cgroup("system.slice/other.service"), 0), [daemon, *hogs.values()])

    assert hogs[names[0]] is dead[0]
    assert daemon.alive
    assert 0 == score(daemon.pid)


def test_a_process_that_starts_dies_before_containers_above_the_host(node: Node, adjuster: RunningAdjuster) -> None:
    """A process that the adjuster has never seen has the host's priority, and its place in the limit of all pods.

    The limit is an eighth of the node, so a score that is far below the host on the node is worth little in it.
    """
    limit_mib = 128
    node.hog(node.cgroup("system.slice/sshd.service"), 1)
    node.cgroup("kubepods", memory__max=limit_mib << 20)
    node.hog(node.cgroup("kubepods/pod-never/container"), 54, adj=-1000)
    above = [
        node.hog(node.cgroup(f"kubepods/pod-{priority}/container"), mib)
        for priority, mib in ((200, 60), (500, 1), (900, 1))
    ]
    adjuster.want("Enforce", dict(zip(map(cgroup_of, above), (200, 500, 900), strict=True)), host_priority=100)
    adjuster.start()
    wait_until("the order", lambda: is_ordered(above, (limit_mib << 20) // PAGE) and score(above[0].pid) < 0)
    adjuster.kill()
    trigger = node.hog(node.cgroup("kubepods/pod-new/container"), 0)

    assert trigger is run_out_of_memory(trigger, above)[0]


def test_host_processes_and_sandboxes_are_untouched(node: Node, adjuster: RunningAdjuster) -> None:
    """Compared value by value over all processes of the machine, only those of the three containers change."""
    hogs = three(node)
    others = [
        node.hog(node.cgroup("kubepods/pod-small/sandbox"), 1, adj=-998),
        node.hog(node.cgroup("kubepods/pod-big/never"), 1, adj=-1000),
        node.hog(node.cgroup("system.slice/kubelet.service"), 1, adj=-999),
        node.hog(node.cgroup("system.slice/cron.service"), 1, adj=-17),
    ]
    pods = {node.cgroup(f"kubepods/pod-{name}"): 500 for name in SIZES}
    before = all_scores()
    adjuster.want("Enforce", pods | priorities_of(hogs, *SIZES))
    adjuster.start()
    wait_until("the order", lambda: is_ordered(hogs.values(), NODE_PAGES))
    after = all_scores()

    assert [-998, -1000, -999, -17] == [after[hog.pid] for hog in others]
    scored = {hog.pid for hog in hogs.values()}
    assert {pid: value for pid, value in before.items() if pid in after and pid not in scored} == {
        pid: value for pid, value in after.items() if pid in before and pid not in scored
    }


def test_a_killed_adjuster_leaves_the_scores_and_off_restores_them(node: Node, adjuster: RunningAdjuster) -> None:
    """SIGKILL changes nothing. The next adjuster knows the kubelet's values, also of processes that came meanwhile."""
    hogs = three(node)
    crowd = node.hog(node.cgroup("kubepods/pod-crowd/container"), 4, adj=700, options=["--crowd", "50"])
    members = cgroup_of(crowd).pids()
    before = {pid: score(pid) for pid in [*members, *(hog.pid for hog in hogs.values())]}
    wanted = {**priorities_of(hogs, "big", "small", "middle"), cgroup_of(crowd): 900}
    adjuster.want("Enforce", wanted)
    adjuster.start()
    ordered = [hogs["big"], hogs["small"], hogs["middle"], crowd]
    wait_until("the order", lambda: is_ordered(ordered, NODE_PAGES))
    wait_until("one score for the crowd", lambda: {score(crowd.pid)} == set(map(score, members)) != {700})
    adjuster.kill(signal.SIGKILL)
    killed = {pid: score(pid) for pid in before}

    assert 51 == len(members)
    assert killed != before
    assert is_ordered(ordered, NODE_PAGES)
    late = node.hog(cgroup_of(crowd), 1, adj=700)
    adjuster.want("Off", wanted)
    adjuster.start()
    wait_until("the kubelet's values", lambda: before == {pid: score(pid) for pid in before})
    assert 700 == score(late.pid)


def test_the_command_restores_without_a_request(node: Node, adjuster: RunningAdjuster) -> None:
    """An uninstall ends the adjuster, and then puts everything back at once. The file is empty after it."""
    hogs = three(node)
    before = {name: score(hog.pid) for name, hog in hogs.items()}
    adjuster.want("Enforce", priorities_of(hogs, "big", "small", "middle"))
    adjuster.start()
    wait_until("the order", lambda: is_ordered([hogs["big"], hogs["small"], hogs["middle"]], NODE_PAGES))
    adjuster.kill(signal.SIGTERM)
    assert before != {name: score(hog.pid) for name, hog in hogs.items()}
    done = subprocess.run(adjuster.command("--restore"), capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert before == {name: score(hog.pid) for name, hog in hogs.items()}
    assert '"cgroups": {}' in (adjuster.state / "originals.json").read_text()


def test_audit_never_writes_a_score(node: Node, adjuster: RunningAdjuster) -> None:
    """A change from Enforce to Audit puts the kubelet's values back."""
    hogs = three(node)
    before = {name: score(hog.pid) for name, hog in hogs.items()}
    wanted = priorities_of(hogs, "big", "small", "middle")
    adjuster.want("Audit", wanted)
    adjuster.start()

    assert 1 == adjuster.lines("mode Audit")
    assert before == {name: score(hog.pid) for name, hog in hogs.items()}
    adjuster.want("Enforce", wanted)
    wait_until("the order", lambda: is_ordered([hogs["big"], hogs["small"], hogs["middle"]], NODE_PAGES))
    adjuster.want("Audit", wanted)
    wait_until("the kubelet's values", lambda: before == {name: score(hog.pid) for name, hog in hogs.items()})


def test_a_second_adjuster_refuses_to_run(node: Node, adjuster: RunningAdjuster) -> None:
    hogs = three(node)
    adjuster.want("Enforce", priorities_of(hogs, *SIZES))
    adjuster.start()
    second = subprocess.run(adjuster.command(), capture_output=True, text=True, check=False, timeout=60)

    assert 1 == second.returncode
    assert f"another adjuster runs on this node: it holds {adjuster.state}/adjuster.lock; end it first" in second.stderr


def test_a_container_that_leaves_the_request_is_restored(node: Node, adjuster: RunningAdjuster) -> None:
    hogs = three(node)
    wanted = priorities_of(hogs, *SIZES)
    adjuster.want("Enforce", wanted)
    adjuster.start()
    wait_until("the order", lambda: is_ordered(hogs.values(), NODE_PAGES))
    adjuster.want("Enforce", {cgroup: value for cgroup, value in wanted.items() if value > 100})
    wait_until("the kubelet's value", lambda: -997 == score(hogs["small"].pid))

    assert is_ordered([hogs["middle"], hogs["big"]], NODE_PAGES)


def test_usage_is_that_of_the_kernel(node: Node) -> None:
    """The pages of /proc/PID/status are those that the OOM killer counts, with swap and page tables."""
    hog = node.hog(node.cgroup("kubepods/pod/container"), 12)
    processes = Processes()
    (found,) = processes.read([hog.pid])
    processes.keep(())

    assert usage(hog.pid) == found.usage
    assert found.usage * PAGE >= 12 << 20


@pytest.mark.parametrize("variant", STRICT)
def test_random_scenes_follow_the_model(
    node: Node, tmp_path: Path, restart_deadline: Callable[[], None], variant: str
) -> None:
    """In every scene the kernel kills the processes that the model names."""
    seed = seed_of_this_run()
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    with closing(Scores(tmp_path, "Kubepods")) as scores:
        scene = ScoredScene(node, rng, scores, VARIANTS[variant])
        for number in range(OOMS // len(STRICT)):
            restart_deadline()
            if number % OOMS_PER_SCENE == 0:
                scene.clear()
            scene.populate()
            entries = scene.set_entries(scores)
            scene.set_groups()
            died, _ = scene.run_out_of_memory()
            assert scene.wrong(died, entries) is None, f"OOM {number} of OOMPOLICY_SEED={seed}"
