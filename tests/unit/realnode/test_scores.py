# SPDX-License-Identifier: Apache-2.0
"""The scores of a node are read with this process as one of its processes, and compared by process."""

from __future__ import annotations

import os
from pathlib import Path

from tests.realnode import scores
from tests.realnode.scores import Score

HOST = Score("kubelet", "/system.slice/kubelet.service", -999)
SANDBOX = Score("pause", "/kubepods/besteffort/pod1/sandbox", -998)
APP = Score("python3", "/kubepods/besteffort/pod1/app", 1000)


def test_a_process_is_known_by_pid_and_start_time() -> None:
    """A kernel thread has no memory, so it is left out."""
    found = scores.read()
    (this,) = (each for key, each in found.items() if key.startswith(f"{os.getpid()}:"))

    assert int(Path("/proc/self/oom_score_adj").read_text()) == this.value
    assert "kthreadd" not in {each.name for each in found.values()}
    assert found == scores.from_wire({key: list(each) for key, each in found.items()})


def test_a_change_is_one_of_the_same_process() -> None:
    """Processes that start or end in between are no changes."""
    scored = APP._replace(value=-310)

    assert [(APP, scored)] == scores.changed({"1:1": HOST, "2:2": APP, "3:3": APP}, {"1:1": HOST, "2:2": scored})


def test_a_sandbox_and_a_process_of_the_host_may_not_change() -> None:
    """The values of a pod are those of its containers."""
    assert [False, False, True] == [each.may_change for each in (HOST, SANDBOX, APP)]
    assert {1000} == scores.of_pod([HOST, SANDBOX, APP], "1")
