# SPDX-License-Identifier: Apache-2.0
"""The witness on a kernel that no policy asks: it names the kernel's own choice, and what the kernel measured.

The kernels of Debian 11 and 12 run these tests as well. The tests with a policy are in test_trace_policy.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import pytest

from tests.node import in_process
from tests.node.hog import run_out_of_memory
from tests.node.policy import Policy
from tests.node.test_order import cgroup_of
from tests.node.witness import COMMAND, ONLY_ITSELF, Witness, pids, task_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import Pod
    from tests.node.machine import Node

pytestmark = pytest.mark.module

CHECKOUT: Final = Path(__file__).parents[2]
CAPABILITIES: Final = {"SYS_ADMIN", "SYS_RESOURCE", "DAC_OVERRIDE"}
PAGE: Final = os.sysconf("SC_PAGESIZE")
SPLIT: Final = "oom_badness.part." in Path("/proc/kallsyms").read_text()
"""True on Debian 11's kernel: the scan calls a part of oom_badness(), on which no probe can be."""
REFUSED: Final = """
import os
from dataclasses import replace
from pathlib import Path
from oompolicy_trace import node, offsets
from oompolicy_trace.btf import Btf
from oompolicy_trace.probes import PROBES
from oompolicy_trace.tracer import attach, compile_program

sizes = {"OOMPOLICY_PAGE_SIZE": "4096", "OOMPOLICY_RING_PAGES": "16"}
bpf = compile_program({**offsets.macros(Btf(node.BTF.read_bytes())), **sizes})
probe = replace(PROBES[-1], entered="missing")
print(attach(bpf, probe, {probe.name}).problem)
files = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if os.path.lexists(each)]
print(files.count("anon_inode:[perf_event]"))
"""
"""The program of a process that attaches the return of a function, and not its entry."""
EVERY_KERNEL: Final = {
    *("out_of_memory", "oom_evaluate_task", "oom_badness", "oom_kill_process"),
    *("mark_victim", "signal_generate"),
}


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    """Yield a witness on a node on which no loader ran. It starts once, because bcc compiles for seconds."""
    in_process.detach()
    witness = Witness()
    yield witness
    assert 0 == witness.end()


def test_it_watches_what_these_kernels_have_and_says_that_there_is_no_hook(witness: Witness) -> None:
    """The tool names each function that it watches. It says that no policy can be asked, and that there is no map."""
    assert EVERY_KERNEL == witness.attached()
    (hook,) = [each for each in witness.started["sources"] if not each["attached"]]
    (badness,) = [each for each in witness.started["sources"] if each["from"] == "kprobe oom_badness"]
    assert SPLIT == badness["problem"].startswith("the compiler split it")
    assert "kprobe bpf_oom_evaluate_task" == hook["from"]
    assert "this kernel has no such function, or the compiler inlined it" == hook["problem"]
    assert witness.started["priorities"].startswith("unknown: /sys/fs/bpf/oompolicy/maps has no map")


def test_no_probe_stays_on_a_function_whose_entry_is_refused() -> None:
    """A process of its own attaches with bcc, and counts its open probes. bcc has no program of that name to attach."""
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, env=ONLY_ITSELF, check=True)

    assert ["Unknown program b'missing'", "0"] == done.stdout.splitlines()


def test_the_kernels_own_choice_has_the_largest_badness(witness: Witness, pod: Pod) -> None:
    """In a limit the process that dies has the largest badness that the kernel computed, and no task has an answer."""
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]

    assert hogs[1] is pod.first_victim()
    oom = witness.oom_of(hogs[1])
    assert [hogs[1].pid] == pids(oom["killed"])
    assert hogs[1].pid == oom["chosen"]["pid"]
    assert "chosen" == oom["killed"][0]["reason"]
    assert {"type": "Cgroup", "cgroupId": pod.cgroup.id, "cgroup": f"/{pod.cgroup!r}"} == oom["scope"]
    assert max(oom["tasks"], key=lambda task: task["badness"])["pid"] == hogs[1].pid
    assert 3 == len(oom["tasks"])
    assert {None} == {task["answer"] for task in oom["tasks"]}
    assert {"Computed" if SPLIT else "Kernel"} == {task["badnessSource"] for task in oom["tasks"]}
    assert "BestSoFar" == task_of(oom, hogs[1])["verdict"]
    assert f"/{pod.cgroup!r}/big" == task_of(oom, hogs[1])["cgroup"]
    assert 0 < oom["durationMicroseconds"]
    assert oom["message"] == "Memory cgroup out of memory"


# From Linux 7.0 on the kernel sums the counters of all CPUs, and the tool does not. On 5.10 its value is not visible.
@pytest.mark.once
def test_it_computes_the_kernels_badness_from_memory_and_score(witness: Witness, pod: Pod) -> None:
    """The tool's own number is the kernel's. It stands in for the kernel's where a policy answers before the kernel."""
    hogs = [pod.hog("first", 12, adj=300), pod.hog("second", 34, adj=-100)]
    victim = pod.first_victim()
    oom = witness.oom_of(victim)

    for hog in hogs:
        task = task_of(oom, hog)
        step = oom["totalBytes"] // PAGE // 1000
        assert task["badness"] == task["memoryBytes"] // PAGE + task["oomScoreAdj"] * step
    assert [300, -100] == [task_of(oom, hog)["oomScoreAdj"] for hog in hogs]


def test_an_oom_of_the_whole_node_names_what_the_kernel_never_kills(witness: Witness, node: Node) -> None:
    """The tests' runner has the value -1000. The kernel looks at it, and the verdict says that it cannot be killed."""
    hogs = [node.hog(node.cgroup("pods/small"), 20), node.hog(node.cgroup("pods/big"), 50)]
    node.fill()
    dead = run_out_of_memory(node.hog(node.cgroup("host"), 0), hogs)
    oom = witness.oom_of(dead[0])

    assert {"type": "Node"} == oom["scope"]
    (runner,) = [task for task in oom["tasks"] if task["pid"] == os.getpid()]
    assert ("NotKillable", -1000, None) == (runner["verdict"], runner["oomScoreAdj"], runner["badness"])
    killable = [task for task in oom["tasks"] if task["badness"] is not None]
    assert max(killable, key=lambda task: task["badness"])["pid"] == dead[0].pid
    assert 0 < oom["kernelThreads"]


def test_the_members_of_a_group_die_with_the_chosen_one(witness: Witness, pod: Pod) -> None:
    """Every process of a cgroup with memory.oom.group gets SIGKILL, and the tool names the reason of each."""
    group = pod.cgroup.child("group", memory__oom__group=1)
    hogs = [pod.hog("group/small", 4), pod.hog("group/big", 40)]
    # The trigger may die after them, before their memory is free.
    assert set(hogs) <= set(pod.run_out_of_memory())
    oom = witness.oom_of(hogs[1])

    assert "1\n" == (group.path / "memory.oom.group").read_text()
    reasons = {each["pid"]: each["reason"] for each in oom["killed"]}
    assert {hogs[0].pid: "killed with its group (memory.oom.group)", hogs[1].pid: "chosen"} == reasons


def until(stream: IO[str], start: str) -> list[str]:
    """Read lines up to the one that begins like this."""
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(start):
            return lines
    raise RuntimeError(f"the tool ended:\n{''.join(lines)}")


def test_a_person_gets_a_table(bare: None, pod: Pod) -> None:
    """Without --json each task is a row, and the lines below name the dead. The output is no terminal: no colours."""
    assert bare is None
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=ONLY_ITSELF, cwd="/") as tool:
        assert tool.stdout
        assert [line for line in until(tool.stdout, "waiting for an OOM") if line.startswith("kprobe out_of_memory: ")]
        assert hogs[1] is pod.first_victim()
        lines = until(tool.stdout, "took ")
        tool.terminate()

    assert lines[0].startswith(f"OOM 1 at {lines[0].split()[3]} cgroup /{pod.cgroup!r}, 64.0 MiB. hog (")
    (row,) = [line.split() for line in lines if line.split()[:2] == ["CK", str(hogs[1].pid)]]
    assert ["hog", f"{pod.cgroup!r}/big"] == row[2:4]
    assert f"killed: hog ({hogs[1].pid}) in /{pod.cgroup!r}/big: chosen\n" in lines
    assert "\x1b" not in "".join(lines)


def test_it_needs_the_capabilities_of_its_page_and_no_others(bare: None, pod: Pod) -> None:
    """docs/trace.md names them. With them alone the tool sees the victim, and has nothing to warn of."""
    assert bare is None
    names = re.findall(
        r"\b[A-Z]+(?:_[A-Z]+)?\b", (CHECKOUT / "docs/trace.md").read_text().partition("| needs | for |")[2]
    )
    given = [f"+{name.lower()}" for name in names if name in CAPABILITIES]
    assert len(CAPABILITIES) == len(set(given))
    witness = Witness("setpriv", f"--bounding-set=-all,{','.join(given)}", "--inh-caps=-all")
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]

    assert hogs[1] is pod.first_victim()
    assert hogs[1].pid == witness.oom_of(hogs[1])["chosen"]["pid"]
    assert EVERY_KERNEL == witness.attached()
    assert [] == witness.started["warnings"]
    witness.end()


def test_priorities_are_shown_where_the_kernel_cannot_ask(bare: None, pod: Pod) -> None:
    """On a node that only observes, the tool shows the priorities of the map, and that the kernel did not obey them."""
    assert bare is None
    in_process.observe()
    policy = Policy()
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set(dict(zip(map(cgroup_of, hogs), (100, 900), strict=True)))
    witness = Witness()
    assert hogs[1] is pod.first_victim()
    oom = witness.oom_of(hogs[1])
    witness.end()
    policy.close()

    assert [100, 900] == [task_of(oom, hog)["priority"] for hog in hogs]
    assert {"Entry"} == {task_of(oom, hog)["prioritySource"] for hog in hogs}
    assert {None} == {task["answer"] for task in oom["tasks"]}
    assert 900 == oom["chosen"]["priority"]
