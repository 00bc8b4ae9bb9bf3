# SPDX-License-Identifier: Apache-2.0
"""In the modes Audit and Off the kernel chooses, and the record of a victim says what the policy would have chosen."""

from __future__ import annotations

import random
import signal
from contextlib import closing
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import KernelMode, Stat, VictimFlag
from tests.node import policy as attached
from tests.node.hog import KernelLog, run_out_of_memory
from tests.node.policy import STOCK, flags
from tests.node.scene import OOMS_PER_SCENE, Scene
from tests.node.test_dying import Spinner, occupy_cpu_1
from tests.node.test_order import cgroup_of
from tests.node.test_random import seed_of_this_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.node.conftest import Pod
    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy

AUDITED_OOMS = 100
AUDIT, ENFORCE, OFF = KernelMode.AUDIT, KernelMode.ENFORCE, KernelMode.OFF


def batch_and_database(pod: Pod, policy: Policy) -> tuple[Hog, Hog]:
    """Start a small process with a low priority and a big one with a high priority."""
    batch, database = pod.hog("batch", 12, options=["--name", "batch"]), pod.hog("database", 34)
    policy.set({cgroup_of(batch): 100, cgroup_of(database): 900})
    return batch, database


def test_audit_kills_the_kernels_choice_and_names_the_policys(pod: Pod, policy: Policy) -> None:
    """The database dies, as it does without a policy. The record describes the batch job as spared."""
    batch, database = batch_and_database(pod, policy)
    policy.set_mode(AUDIT)

    assert database is pod.first_victim()
    record = policy.record_of(database)
    wanted = VictimFlag.SELECTED | VictimFlag.AUDIT | VictimFlag.CHANGED | VictimFlag.SPARED_ENTRY
    assert wanted == flags(record)
    assert b"batch" == record.spared_comm
    assert batch.pid == record.spared_tgid
    assert cgroup_of(batch).id == record.spared_cgroup_id
    assert 100 == record.spared_priority
    assert record.spared_badness < record.badness
    assert 900 == record.priority
    assert [pod.cgroup.id, cgroup_of(batch).id] == list(record.spared_cgroup_ids)[1:3]


def test_audit_names_no_other_process_if_kernel_and_policy_agree(pod: Pod, policy: Policy) -> None:
    """The biggest process also has the lowest priority."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 200, cgroup_of(big): 100})
    policy.set_mode(AUDIT)

    assert big is pod.first_victim()
    assert VictimFlag.SELECTED | VictimFlag.AUDIT == flags(policy.record_of(big))


def test_audit_answers_no_policy_for_every_task(pod: Pod, policy: Policy) -> None:
    """The kernel called the hook for all three processes, and the counters of the other answers stay as they are."""
    answers = (Stat.SELECT, Stat.NEXT, Stat.NO_POLICY, Stat.EVALUATIONS)
    before = [policy.stat(each) for each in answers]
    _, database = batch_and_database(pod, policy)
    policy.set_mode(AUDIT)

    assert database is pod.first_victim()
    selected, skipped, unanswered, evaluated = (
        policy.stat(each) - old for each, old in zip(answers, before, strict=True)
    )
    assert 0 == selected
    assert 0 == skipped
    assert unanswered == evaluated
    assert evaluated >= 3


def test_audit_of_the_node_names_the_policys_choice(node: Node, policy: Policy) -> None:
    """The kernel kills a process of the host, because it holds the most memory."""
    batch, database = node.hog(node.cgroup("pods/a"), 12), node.hog(node.cgroup("pods/b"), 40)
    policy.set({cgroup_of(batch): 100, cgroup_of(database): 900})
    policy.set_mode(AUDIT)
    node.fill()

    trigger = node.hog(node.cgroup("host"), 0)

    assert trigger is run_out_of_memory(trigger, [batch, database])[0]
    record = policy.record_of(trigger)
    assert 0 == record.scope_cgroup_id
    assert batch.pid == record.spared_tgid


def test_audit_does_not_claim_a_kill_where_the_policy_would_wait(node: Node, pod: Pod, policy: Policy) -> None:
    """The policy chooses a process that is dying already, and then the kernel kills no other."""
    occupy_cpu_1(node)
    dying = pod.hog("dying", 12, options=["--cpu", "1"])
    database = pod.hog("database", 34)
    policy.set({cgroup_of(dying): 900, cgroup_of(database): 900})
    policy.set_mode(AUDIT)
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    dying.process.send_signal(signal.SIGKILL)

    assert database is run_out_of_memory(trigger, [database])[0]
    assert dying.alive, "this process was meant to be kept from dying"
    found = flags(policy.record_of(database))
    assert VictimFlag.UNSURE in found
    assert VictimFlag.CHANGED not in found
    spinner.end()
    assert dying.was_killed()


def test_audit_names_no_process_that_dies_with_the_victim(pod: Pod, policy: Policy) -> None:
    """With `memory.oom.group` on the pod, the kernel kills the policy's choice too."""
    batch, database = batch_and_database(pod, policy)
    pod.cgroup.write("memory.oom.group", "1")
    policy.set_mode(AUDIT)

    assert {batch, database} <= set(pod.run_out_of_memory())
    assert not [record for record in policy.records() if VictimFlag.CHANGED in flags(record)]


def test_off_kills_the_kernels_choice_and_names_no_other(pod: Pod, policy: Policy) -> None:
    """The victim is still reported, with its scope and its priority."""
    _, database = batch_and_database(pod, policy)
    policy.set_mode(OFF)

    assert database is pod.first_victim()
    record = policy.record_of(database)
    assert VictimFlag.OFF == flags(record)
    assert pod.cgroup.id == record.scope_cgroup_id
    assert 900 == record.priority
    assert 0 == record.spared_tgid


def test_an_unknown_mode_is_off(pod: Pod, policy: Policy) -> None:
    """A mode of a later version must not make the policy decide."""
    _, database = batch_and_database(pod, policy)
    settings = policy.settings.read()
    settings.mode = 7
    policy.settings.write(settings)

    assert database is pod.first_victim()
    assert VictimFlag.OFF == flags(policy.record_of(database))


@pytest.mark.parametrize("mode", [OFF, AUDIT])
def test_the_kernels_log_names_no_policy_unless_it_decides(pod: Pod, policy: Policy, mode: KernelMode) -> None:
    """The name in the log says that the policy chose the victim."""
    _, database = batch_and_database(pod, policy)
    policy.set_mode(mode)
    with closing(KernelLog()) as log:
        assert database is pod.first_victim()
        lines = [log.line()]
        while f"Killed process {database.pid} " not in lines[-1]:
            lines.append(log.line())

    named = lines[-2] if STOCK else lines[-1]
    assert named.endswith("policy_name=default")


def test_a_new_mode_applies_to_the_next_oom(pod: Pod, policy: Policy) -> None:
    """No program is loaded for it: links and programs stay the same."""
    links = sorted(path.stat().st_ino for path in (attached.BPFFS / "links").rglob("*"))
    for mode in (ENFORCE, OFF, ENFORCE, AUDIT, ENFORCE):
        batch, database = batch_and_database(pod, policy)
        policy.set_mode(mode)
        expected = batch if mode is ENFORCE else database

        assert expected is pod.first_victim()
        for hog in (batch, database):
            hog.end()
        pod.hogs.clear()
    assert links == sorted(path.stat().st_ino for path in (attached.BPFFS / "links").rglob("*"))


def test_every_victim_of_a_storm_is_the_choice_of_the_mode_in_its_record(pod: Pod, policy: Policy) -> None:
    """Another thread changes the mode all the time. Each OOM has one mode from its begin to its end."""
    stop = Event()

    def switch() -> None:
        while not stop.is_set():
            for mode in (AUDIT, ENFORCE, OFF):
                policy.set_mode(mode)

    switching = Thread(target=switch)
    switching.start()
    seen = set()
    try:
        for _ in range(20):
            batch, database = batch_and_database(pod, policy)
            dead = pod.first_victim()
            found = flags(policy.record_of(dead))
            chosen_by_policy = not found & (VictimFlag.AUDIT | VictimFlag.OFF)
            assert dead is (batch if chosen_by_policy else database), found
            seen.add(found & (VictimFlag.AUDIT | VictimFlag.OFF))
            for hog in (batch, database):
                hog.end()
            pod.hogs.clear()
    finally:
        stop.set()
        switching.join()
    assert len(seen) > 1


def test_random_scenes_in_audit_kill_as_a_bare_kernel_does(
    node: Node, policy: Policy, restart_deadline: Callable[[], None]
) -> None:
    """Each victim is the model's for a bare kernel, and the record describes the model's choice for the policy."""
    seed = seed_of_this_run()
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    policy.set_mode(AUDIT)
    scene = Scene(node, rng)
    differed = 0
    for number in range(AUDITED_OOMS):
        restart_deadline()
        if number % OOMS_PER_SCENE == 0:
            scene.clear()
        scene.populate()
        policy.records()
        entries = scene.set_entries(policy)
        died, names = scene.run_out_of_memory()
        context = f"OOM {number} of OOMPOLICY_SEED={seed}"
        records = policy.records()
        assert died == [names[record.victim_tgid] for record in records], context
        for record in records:
            kernels, policys = scene.kernels_choice(), scene.policys_choice(entries)
            assert kernels == names[record.victim_tgid], context
            spared = names[record.spared_tgid] if VictimFlag.CHANGED in flags(record) else kernels
            assert policys == spared, context
            differed += kernels != policys
            scene.remove(kernels)
    scene.clear()
    assert differed > AUDITED_OOMS // 10
