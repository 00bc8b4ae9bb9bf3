# SPDX-License-Identifier: Apache-2.0
"""The loader on a real node: attach, upgrade and detach, also if it is interrupted or a module is refused."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.node import in_process
from tests.node import policy as attached
from tests.node.policy import BPFFS, BUILD, MODULE, STOCK, Policy, victims
from tests.node.running_agent import SETPRIV, UID, wait_until
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.hog import Hog
    from tests.node.machine import Node

REPORT = Path("/run/oompolicy/loader.json")
STATE = Path("/var/lib/oompolicy")


def report() -> dict[str, Any]:
    return dict(json.loads(REPORT.read_text()))


def modules() -> list[str]:
    return [line.split()[0] for line in Path("/proc/modules").read_text().splitlines()]


def programs() -> set[str]:
    """Return the names of the BPF programs in the kernel."""
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True).stdout
    return {program.get("name", "") for program in json.loads(shown)}


def verified_steps() -> dict[str, int]:
    """Return the number of instructions that the verifier walked for each program of the policy."""
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True).stdout
    ids = {program.get("name", ""): program["id"] for program in json.loads(shown)}
    libbpf, found = ctypes.CDLL("libbpf.so.1", use_errno=True), {}
    for pin in BPFFS.glob("links/*/*"):
        fd = libbpf.bpf_prog_get_fd_by_id(ids[pin.name])
        steps = re.search(r"^verified_insns:\t(\d+)$", Path(f"/proc/self/fdinfo/{fd}").read_text(), re.MULTILINE)
        assert steps, pin.name
        found[pin.name] = int(steps[1])
        os.close(fd)
    return found


def small_and_big(pod: Pod, policy: Policy) -> tuple[Hog, Hog]:
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})
    return small, big


def test_attach_writes_a_report(bare: None) -> None:
    """The report has backend, hook and kernel, and the pins belong to the agent's user."""
    assert bare is None
    attached.attach()

    found = report()
    hook = "Module" if STOCK else "Kernel"
    assert "EvaluateTask" == found["backend"]
    assert hook == found["hook"]
    assert found["attached"] is True
    assert Path("/proc/sys/kernel/osrelease").read_text().startswith(found["kernelVersion"])
    assert {UID} == {pin.stat().st_uid for pin in (BPFFS / "maps").iterdir()}


def test_the_verifier_needs_few_steps(policy: Policy) -> None:
    """Kernels differ in the steps that they need for one program, and refuse it at 1,000,000."""
    assert policy
    steps = verified_steps()
    print(steps)

    assert "evaluate_task" in steps
    assert max(steps.values()) < 100_000


@pytest.mark.once
def test_an_upgrade_gives_the_files_of_the_old_user_to_the_new_one(bare: None) -> None:
    """The agent of version 0.1.0 ran as user 65532. The next attach gives its pins and state to the new user."""
    assert bare is None
    attached.attach("--uid", "65532", "--gid", "65532")
    victim = STATE / "spool/0123456789abcdef.victim"
    victim.parent.mkdir(exist_ok=True)
    victim.touch()
    for path in (victim.parent, victim):
        os.chown(path, 65532, 65532)
    attached.attach()

    owned = (*(BPFFS / "maps").iterdir(), STATE, victim.parent, victim, REPORT.parent)
    assert {UID} == {path.stat().st_uid for path in owned}
    victim.unlink()


def test_class_defaults_apply_before_an_agent_has_run(node: Node, bare: None) -> None:
    """The QoS slices have their entries as soon as the program is attached."""
    assert bare is None
    slices = {"kubepods.slice": 800, "kubepods.slice/kubepods-burstable.slice": 500}
    cgroups = {node.cgroup(name): priority for name, priority in slices.items()}
    attached.attach()
    policy = Policy()

    assert {cgroup.id: (priority, 0) for cgroup, priority in cgroups.items()} == policy.entries.entries()
    policy.close()


@pytest.mark.once
def test_attach_twice_changes_nothing(bare: None) -> None:
    """A second attach keeps the links of the first one."""
    assert bare is None
    attached.attach()
    before = {pin.name: pin.stat().st_ino for pin in BPFFS.rglob("links/*/*")}
    attached.attach()

    assert before
    assert before == {pin.name: pin.stat().st_ino for pin in BPFFS.rglob("links/*/*")}


def test_upgrade_in_a_storm_leaves_no_oom_without_policy(pod: Pod, bare: None, other_objects: Path) -> None:
    """During an upgrade the policy chooses every victim, and every victim is reported."""
    assert bare is None
    in_process.attach()
    policy = Policy()
    policy.set({pod.cgroup.child("big"): 200, pod.cgroup.child("small"): 100})
    killed: list[int] = []
    for objects in (other_objects, BUILD / "bpf"):
        # The kills of a proof would be among those of the storm.
        command = ["attach", *attached.with_module(), "--object-dir", str(objects), "--no-proof"]
        upgrade = subprocess.Popen([sys.executable, "-m", "oompolicy_agent.loader", *command])
        while upgrade.poll() is None:
            if not pod.hogs:
                pod.hog("big", 34)
            small = pod.hog("small", 12)
            dead = pod.run_out_of_memory()
            assert small is dead[0]
            killed += [hog.pid for hog in dead]
        assert 0 == upgrade.returncode
    assert 1 == len(list((BPFFS / "links").iterdir()))
    print(f"{len(killed)} OOMs during two upgrades")

    # For a moment both versions are attached and report the same victim. The agent counts it once.
    assert killed == list(dict.fromkeys(victims(policy.records())))
    policy.close()


def test_loader_killed_at_any_moment_leaves_a_policy(pod: Pod, bare: None, other_objects: Path) -> None:
    """After SIGKILL in the middle of an upgrade the old or the new version decides, and the next loader repairs."""
    assert bare is None
    in_process.attach()
    policy = Policy()
    choices = [BUILD / "bpf", other_objects]
    for number, milliseconds in enumerate((200, 600, 1000, 1400, 1800, 2200)):
        command = [sys.executable, "-m", "oompolicy_agent.loader", "attach", *attached.with_module()]
        upgrade = subprocess.Popen([*command, "--object-dir", choices[number % 2]])
        try:
            upgrade.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            upgrade.kill()
            upgrade.wait()
        small, _ = small_and_big(pod, policy)
        assert small is pod.first_victim()
        for hog in pod.hogs:
            hog.end()
        pod.hogs.clear()
    policy.close()
    attached.attach()

    assert report()["attached"]
    (generation,) = (BPFFS / "links").iterdir()
    assert report()["object"].startswith(generation.name) or generation.name.startswith(report()["object"])


def test_half_attached_version_leaves_the_choice_to_the_kernel(pod: Pod, bare: None) -> None:
    """A program that gets no event at an OOM's start makes no choice, instead of one by stale or missing priorities."""
    assert bare is None
    in_process.attach()
    policy = Policy()
    _, big = small_and_big(pod, policy)
    policy.close()
    for name in ("oom_begins", "oom_ends"):
        (pin,) = BPFFS.glob(f"links/*/{name}")
        pin.unlink()
    wait_until("both programs gone", lambda: not {"oom_begins", "oom_ends"} & programs())

    assert "evaluate_task" in programs()
    assert big is pod.first_victim()


@pytest.mark.module
def test_module_cannot_be_removed_while_a_program_is_attached(bare: None) -> None:
    """The kernel refuses rmmod, because an attached program holds the module."""
    assert bare is None
    in_process.attach()
    removal = subprocess.run(["rmmod", "oompolicy_hook"], capture_output=True, text=True, check=False)

    assert removal.returncode
    assert "in use" in removal.stderr
    assert "oompolicy_hook" in modules()


def test_detach_restores_the_node(pod: Pod, bare: None) -> None:
    """Pins, module and report are removed, and the kernel makes its own choice again."""
    assert bare is None
    in_process.attach()
    policy = Policy()
    _, big = small_and_big(pod, policy)
    policy.close()
    attached.detach()

    assert not BPFFS.exists()
    assert "oompolicy_hook" not in modules()
    assert not REPORT.exists()
    assert big is pod.first_victim()


@pytest.mark.module
def test_node_without_the_hook_still_reports(pod: Pod, bare: None) -> None:
    """Without a module the backend is ObserveOnly with the reason. The kernel chooses, and the victim is reported."""
    assert bare is None
    attached.loader("attach", "--object-dir", BUILD / "bpf")
    found = report()
    assert "ObserveOnly" == found["backend"]
    assert "None" == found["hook"]
    assert found["attached"] is True
    assert "no hook" in found["message"]

    policy = Policy()
    _, big = small_and_big(pod, policy)
    assert big is pod.first_victim()
    record = policy.record_of(big)
    assert 0 == record.flags
    assert 200 == record.priority
    assert pod.cgroup.id == record.scope_cgroup_id
    policy.close()


@pytest.mark.module
def test_a_module_for_another_kernel_is_refused(bare: None, tmp_path: Path) -> None:
    """The node only reports victims, and the report has the reason. The loader does not fail."""
    assert bare is None
    broken = tmp_path / "oompolicy_hook.ko"
    # The version is not changed: if symbols have checksums, the kernel compares these instead (same_magic()).
    broken.write_bytes(MODULE.read_bytes().replace(b" mod_unload ", b" mod_unlxxx "))
    attached.loader("attach", "--module", broken, "--object-dir", BUILD / "bpf")

    assert "ObserveOnly" == report()["backend"]
    assert "oompolicy_hook" in report()["message"]


@pytest.mark.once
@pytest.mark.module
def test_a_loaded_module_is_not_compiled_again(bare: None, tmp_path: Path) -> None:
    """The next pod of an agent attaches with the loaded module. A module of another source is compiled."""
    assert bare is None
    attached.attach()
    source = tmp_path / "source"
    shutil.copytree("kernel/module", source)
    made = tmp_path / "oompolicy_hook.ko"
    build = ("build", "--module", made, "--headers", tmp_path / "none", "--source", source)

    assert "nothing to compile" in attached.loader(*build).stderr
    attached.loader("attach", "--module", made, "--object-dir", BUILD / "bpf")
    found = report()
    assert "EvaluateTask" == found["backend"]
    assert "Module" == found["hook"]
    assert [] == found["warnings"]
    assert "" == found["message"]
    with (source / "oompolicy_hook.c").open("a") as file:
        file.write("/* another */\n")
    assert "headers are not installed" in attached.loader(*build).stderr


@pytest.mark.once
def test_a_loader_without_capabilities_names_them(bare: None) -> None:
    """The loader prints a sentence with the names of the missing capabilities, and attaches nothing."""
    assert bare is None
    command = [*SETPRIV, sys.executable, "-m", "oompolicy_agent.loader", "attach", "--object-dir", str(BUILD / "bpf")]
    done = subprocess.run([*command, "--run-dir", "/tmp/nobody"], capture_output=True, text=True, check=False)

    assert "CAP_BPF" in done.stdout + done.stderr
    assert not (BPFFS / "links").exists()


@pytest.mark.once
def test_settings_that_bypass_the_hook_are_in_the_report(node: Node, bare: None) -> None:
    """With vm.oom_kill_allocating_task the kernel does not call the hook, so the report has a warning."""
    assert bare is None
    node.sysctl("vm.oom_kill_allocating_task", 1)
    attached.attach()

    assert any("vm.oom_kill_allocating_task" in warning for warning in report()["warnings"])
