# SPDX-License-Identifier: Apache-2.0
"""The demo's pods have the weights and cgroups that kubelet would give them, and the victims are read from the log."""

from dataclasses import replace
from pathlib import Path

import pytest

from demo.node.kubelet import oom_score_adj, pod_slice
from demo.node.shortage import victims
from oompolicy.manifests import load_manifests
from oompolicy.model import QOSClass
from oompolicy_agent.mapping.cgroups import parse_name

EXAMPLES = Path(__file__).parents[3] / "examples/demo"
GIB = 1 << 30


@pytest.mark.parametrize(
    ("qos", "memory", "expected"),
    [
        (QOSClass.GUARANTEED, GIB, -997),
        (QOSClass.BEST_EFFORT, 0, 1000),
        (QOSClass.BURSTABLE, GIB // 4, 938),
        (QOSClass.BURSTABLE, 0, 999),
        (QOSClass.BURSTABLE, 4 * GIB, 3),
    ],
)
def test_weights_depend_on_class_and_request(qos: QOSClass, memory: int, expected: int) -> None:
    """The weight of a Burstable pod is always between those of the other classes."""
    assert expected == oom_score_adj(qos, memory, 4 * GIB)


def test_the_agent_finds_the_demos_pods_by_their_cgroups() -> None:
    for pod in load_manifests([EXAMPLES]).pods:
        for qos in (QOSClass.BURSTABLE, QOSClass.GUARANTEED):
            *_, segment = pod_slice(replace(pod, qos_class=qos)).split("/")
            name = parse_name(segment)
            assert name is not None
            assert ("pod", pod.uid) == (name.kind, name.value)


def test_the_victims_are_the_processes_in_the_kernels_log() -> None:
    """Each is named once, in the log's order. A process of the host has its own name."""
    log = (
        "Out of memory: Killed process 5 (postgres) total-vm:1kB",
        "Tasks in /x are going to be killed due to memory.oom.group set",
        "Out of memory: Killed process 5 (postgres) total-vm:1kB",
        "Out of memory: Killed process 9 (sshd) total-vm:1kB",
    )

    assert ("postgres", "sshd") == victims(log, {5: "postgres", 7: "report"})
