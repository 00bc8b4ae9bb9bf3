# SPDX-License-Identifier: Apache-2.0
"""The loader's proof on a real node: two OOMs of its own show whether the kernel follows the priorities."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from oompolicy_agent.kernel.layout import KernelMode, Stat, VictimRecord
from oompolicy_agent.kernel.maps import PerCPUCounters, RingBuffer, SettingsMap
from oompolicy_agent.loader.main import main
from oompolicy_agent.loader.proof.scene import NAME
from tests.node import in_process
from tests.node import policy as attached
from tests.node.cgroup import ROOT, Cgroup
from tests.node.hog import KernelLog, oom_kills, run_out_of_memory
from tests.node.policy import BPFFS, BUILD, MODULE, STOCK, Policy
from tests.node.running_agent import RunningAgent, wait_until
from tests.node.test_capabilities import LISTS
from tests.node.test_loader import REPORT, report, small_and_big

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.node.conftest import Pod
    from tests.node.machine import Node

SCENE: Final = ROOT / NAME
EXIT: Final = bytes([0x95, 0, 0, 0, 0, 0, 0, 0])
NO_BPF_POLICY: Final = bytes([0xB7, 0, 0, 0, 0, 0, 0, 0])
"""The BPF instructions `exit` and `r0 = 0`."""
STORE_OR_COPY: Final = (0x63, 0xBC, 0xBF)
"""The first byte of the BPF instructions `*(u32 *)(rX + N) = rY`, `wX = wY` and `rX = rY`."""


def attach(*extra: str | Path, objects: Path = BUILD / "bpf") -> subprocess.CompletedProcess[str]:
    """Attach as a user does, with a proof."""
    return attached.loader("attach", *attached.with_module(), "--object-dir", objects, *extra)


def proof() -> dict[str, Any]:
    return dict(report()["proof"])


def reported() -> list[str]:
    """Return the names of the victims in the ring buffer."""
    found: list[VictimRecord] = []
    with RingBuffer(BPFFS / "maps/events", lambda raw: found.append(VictimRecord.from_buffer_copy(raw))) as ring:
        ring.consume()
    return [record.victim_comm.decode() for record in found]


def counters() -> dict[str, int]:
    with PerCPUCounters(BPFFS / "maps/stats") as stats:
        return {stat.name: stats.sum(stat) for stat in Stat if stat not in (Stat.ENTRIES_DELETED, Stat.CGROUPS_DROPPED)}


def mutant_that_never_decides(folder: Path) -> Path:
    """Return a folder with an object whose program for the hook always answers NO_BPF_POLICY."""
    folder.mkdir()
    for name in ("oompolicy.bpf.o", "observe.bpf.o"):
        (folder / name).write_bytes((BUILD / "bpf" / name).read_bytes())
    path = folder / "oompolicy.bpf.o"
    content = bytearray(path.read_bytes())
    shown = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    (place,) = re.findall(r"\] fmod_ret/bpf_oom_evaluate_task +PROGBITS +\w+ (\w+) (\w+)", shown)
    begin, size = (int(each, 16) for each in place)
    (end,) = [at for at in range(begin, begin + size, 8) if content[at : at + 8] == EXIT]
    # The counter of answers, or the copy of the verdict: nothing else of the program depends on it.
    assert content[end - 8] in STORE_OR_COPY
    content[end - 8 : end] = NO_BPF_POLICY
    path.write_bytes(content)
    return folder


def test_the_first_attach_proves_that_the_node_enforces(bare: None) -> None:
    """Only processes of the proof die. They are in no record and no counter, and leave no entry and no cgroup."""
    assert bare is None
    before, log = oom_kills(), KernelLog()
    attach()
    killed = [log.victims_name() for _ in range(oom_kills() - before)]
    log.close()

    found = proof()
    assert ("True", "Proved") == (found["status"], found["reason"]), found
    assert (report()["object"], report()["bootId"], report()["hook"]) == (found["object"], found["boot"], found["hook"])
    assert len(killed) >= 2
    assert {"oompolicy-proof"} == set(killed)
    assert [] == reported()
    assert {0} == set(counters().values())
    assert not SCENE.exists()
    shown = ["bpftool", "-j", "map", "dump", "pinned", str(BPFFS / "maps/cgroup_priority")]
    entries = json.loads(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)
    assert [] == [each for each in entries if each.get("formatted", {}).get("value", {}).get("flags")]


@pytest.mark.parametrize("mode", [KernelMode.AUDIT, KernelMode.OFF])
def test_the_proof_is_made_in_every_mode(pod: Pod, bare: None, mode: KernelMode) -> None:
    """The policy decides in the proof's own OOMs only. The mode of the node stays, and the kernel chooses elsewhere."""
    assert bare is None
    attach("--mode", mode.name.capitalize())
    policy = Policy()
    _, big = small_and_big(pod, policy)

    assert "Proved" == proof()["reason"]
    with SettingsMap(BPFFS / "maps/settings") as settings:
        assert mode == settings.mode()
    assert big is pod.first_victim()
    policy.close()


def test_a_minimum_of_victims_does_not_disturb_the_proof(bare: None, other_objects: Path) -> None:
    """A node whose policy passes over small processes enforces all the same, so its proof passes."""
    assert bare is None
    in_process.attach()
    with SettingsMap(BPFFS / "maps/settings") as settings:
        settings.change(minimum_victim_memory=20 << 20)
    attach(objects=other_objects)

    assert "Proved" == proof()["reason"]


@pytest.mark.once
def test_a_node_proves_once_per_boot(bare: None) -> None:
    """The second attach makes no proof, and keeps the result. After another boot a loader makes a new one."""
    assert bare is None
    attach()
    first, kills = proof(), oom_kills()
    attach()
    assert first == proof()
    assert kills == oom_kills()

    of_another_boot = report()
    of_another_boot["proof"]["boot"] = "another"
    REPORT.write_text(json.dumps(of_another_boot))
    attach()
    assert first["boot"] == proof()["boot"]
    assert kills < oom_kills()


@pytest.mark.once
def test_a_node_proves_each_version_once(bare: None, other_objects: Path) -> None:
    """Another object is another version. No victim of an upgrade's proof is reported by either of both versions."""
    assert bare is None
    attach()
    first, kills = proof(), oom_kills()
    attach(objects=other_objects)
    assert first["object"] != proof()["object"]
    assert "Proved" == proof()["reason"]
    assert kills < oom_kills()
    assert [] == reported()


@pytest.mark.once
def test_no_proof_is_made_on_request(bare: None) -> None:
    """Nobody is killed, the report says why there is no proof, and the node enforces."""
    assert bare is None
    kills = oom_kills()
    attach("--no-proof")

    assert ("Unknown", "ProofTurnedOff") == (proof()["status"], proof()["reason"])
    assert "EvaluateTask" == report()["backend"]
    assert kills == oom_kills()


def test_a_program_that_never_decides_is_replaced_by_one_that_observes(pod: Pod, bare: None, tmp_path: Path) -> None:
    """The proof fails, so the node says that it does not enforce. The kernel chooses, and victims are reported."""
    assert bare is None
    attach(objects=mutant_that_never_decides(tmp_path / "mutant"))

    found = report()
    assert ("False", "WrongVictim") == (proof()["status"], proof()["reason"]), found
    assert "ObserveOnly" == found["backend"]
    assert "the proof failed" in found["message"]
    assert not list(BPFFS.glob("links/*/evaluate_task"))
    assert not SCENE.exists()
    policy = Policy()
    _, big = small_and_big(pod, policy)
    assert big is pod.first_victim()
    assert 0 == policy.record_of(big).flags
    policy.close()

    attach()
    assert "Proved" == proof()["reason"]
    assert "EvaluateTask" == report()["backend"]


def test_a_program_that_is_not_attached_fails_the_proof(
    bare: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pin of the deciding program is removed between the attach and the proof."""
    assert bare is None
    make = attach_module().prove

    def prove_without_the_program(*arguments: Any) -> Any:  # noqa: ANN401 (those of prove)
        (pin,) = BPFFS.glob("links/*/evaluate_task")
        pin.unlink()
        wait_until("the program gone", lambda: "evaluate_task" not in programs())
        return make(*arguments)

    monkeypatch.setattr(attach_module(), "prove", prove_without_the_program)
    assert 0 == main(["attach", *attached.with_module(), f"--object-dir={BUILD / 'bpf'}"])

    assert "WrongVictim" in capsys.readouterr().out
    assert "ObserveOnly" == report()["backend"]


def attach_module() -> Any:  # noqa: ANN401 (a module)
    return sys.modules["oompolicy_agent.loader.attach"]


def programs() -> set[str]:
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True).stdout
    return {program.get("name", "") for program in json.loads(shown)}


@pytest.mark.module
@pytest.mark.compiles
def test_a_hook_whose_answer_the_compiler_knows_fails_the_proof(
    pod: Pod, bare: None, tmp_path: Path, restart_deadline: Callable[[], None]
) -> None:
    """If `__weak` is missing, gcc removes the switch on the answer. All programs are attached, and none decides."""
    assert bare is None
    source = tmp_path / "module"
    shutil.copytree("kernel/module", source)
    file, hook = source / "oompolicy_hook.c", "noinline int bpf_oom_evaluate_task"
    text = file.read_text()
    assert 1 == text.count(f"__weak {hook}")
    file.write_text(text.replace(f"__weak {hook}", hook))
    mutant = tmp_path / MODULE.name
    attached.loader("build", "--module", mutant, "--source", source)
    restart_deadline()
    attached.loader("attach", "--module", mutant, "--object-dir", BUILD / "bpf")
    policy = Policy()
    _, big = small_and_big(pod, policy)
    policy.close()

    assert ("False", "WrongVictim") == (proof()["status"], proof()["reason"])
    assert "ObserveOnly" == report()["backend"]
    assert big is pod.first_victim()


@pytest.mark.module
def test_a_module_for_a_kernel_that_inlined_the_function_is_refused(bare: None, tmp_path: Path) -> None:
    """The module searches the text of another function for the call, and finds none. The node only observes."""
    assert bare is None
    mutant = tmp_path / MODULE.name
    content = MODULE.read_bytes()
    assert 1 == content.count(b"\0out_of_memory\0")
    mutant.write_bytes(content.replace(b"\0out_of_memory\0", b"\0oom_badness\0\0\0"))
    attached.loader("attach", "--module", mutant, "--object-dir", BUILD / "bpf")

    assert "ObserveOnly" == report()["backend"]
    assert "does not call oom_evaluate_task(): the compiler inlined it" in report()["message"]
    assert report()["proof"] is None


@pytest.mark.once
def test_a_loader_killed_in_its_proof_leaves_nothing_to_the_next(bare: None) -> None:
    """The next loader removes the cgroup with its processes and entries, and makes the proof."""
    assert bare is None
    procs = SCENE / "big/cgroup.procs"
    command = [sys.executable, "-m", "oompolicy_agent.loader", "attach", *attached.with_module()]
    loader = subprocess.Popen([*command, "--object-dir", BUILD / "bpf"])
    wait_until("a process in the cgroup of the proof", lambda: procs.exists() and procs.read_text())
    loader.kill()
    loader.wait()
    assert SCENE.exists()
    attach()

    assert "Proved" == proof()["reason"]
    assert not SCENE.exists()


@pytest.mark.once
def test_detach_removes_what_a_killed_loader_left(bare: None) -> None:
    """The cgroup of a proof is removed, also if it still has processes."""
    assert bare is None
    in_process.attach()
    left = Cgroup.make(NAME).child("big")
    sleeper = subprocess.Popen(["sleep", "infinity"])
    left.write("cgroup.procs", sleeper.pid)
    attached.detach()

    assert sleeper.wait() < 0
    assert not SCENE.exists()


def test_no_oom_is_made_where_the_kernel_would_panic(node: Node, bare: None) -> None:
    """With vm.panic_on_oom=2 an OOM of a cgroup is a panic. The report says so, and the programs are attached."""
    assert bare is None
    node.sysctl("vm.panic_on_oom", 2)
    attach()

    assert ("Unknown", "ProofNotPossible") == (proof()["status"], proof()["reason"])
    assert "vm.panic_on_oom is 2" in proof()["message"]
    assert report()["attached"]


@pytest.mark.once
def test_a_running_agent_reports_no_victim_of_the_proof(
    node: Node, pod: Pod, bare: None, other_objects: Path, tmp_path: Path
) -> None:
    """During an upgrade with a proof the agent runs on. The only victim that it reports is that of a real OOM."""
    assert bare is None
    in_process.attach()
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    agent = RunningAgent(tmp_path / "agent", REPORT.parent)
    agent.start()
    attach(objects=other_objects)
    trigger = node.hog(pod.cgroup, 0)
    dead = [hog.pid for hog in run_out_of_memory(trigger, [])]
    wait_until("the report of the real victim", lambda: agent.status()["lastVictims"])

    assert "Proved" == proof()["reason"]
    assert dead == [victim["pid"] for victim in agent.status()["lastVictims"]]
    assert 1 == agent.status()["counts"]["victims"]
    agent.kill()


@pytest.mark.parametrize("with_namespace", [True, False])
def test_a_loader_in_a_container_makes_the_proof_in_the_hosts_namespace(
    node: Node, bare: None, tmp_path: Path, with_namespace: bool
) -> None:
    """The chart's capabilities suffice. Without the host's cgroup namespace the kernel refuses to move a process."""
    assert bare is None
    container = node.cgroup("container")
    host = tmp_path / "ns"
    host.mkdir()
    subprocess.run(["mount", "--bind", "/proc/1/ns", host], check=True)
    capabilities = ",".join(f"+{each.strip().lower()}" for each in f"{LISTS[0 if STOCK else 1]},{LISTS[2]}".split(","))
    flags = ["--cgroup-namespace", str(host / "cgroup")] if with_namespace else []
    command = ["attach", *attached.with_module(), "--object-dir", str(BUILD / "bpf"), *flags]
    confined = f"setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all,{capabilities} --no-new-privs"
    enter = f'echo $$ > {container.path}/cgroup.procs && exec unshare --cgroup {confined} "$@"'
    try:
        subprocess.run(["sh", "-c", enter, "sh", sys.executable, "-m", "oompolicy_agent.loader", *command], check=True)
    finally:
        subprocess.run(["umount", host], check=True)

    assert ("Proved" if with_namespace else "ProofNotPossible") == proof()["reason"], proof()
    assert "EvaluateTask" == report()["backend"]
    assert not SCENE.exists()
