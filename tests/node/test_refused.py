# SPDX-License-Identifier: Apache-2.0
"""A kernel that takes the hook's module and then refuses the program of the policy, as an untested kernel may do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.node import in_process
from tests.node import policy as attached
from tests.node.policy import BUILD, Policy
from tests.node.test_loader import modules, report, small_and_big

if TYPE_CHECKING:
    from pathlib import Path

    from tests.node.conftest import Pod


@pytest.fixture
def refused_objects(tmp_path: Path) -> Path:
    """Return a folder with a program that the kernel refuses: its license does not allow the helpers that it calls."""
    objects = tmp_path / "refused"
    shutil.copytree(BUILD / "bpf", objects)
    program = objects / "oompolicy.bpf.o"
    content = program.read_bytes()
    assert 1 == content.count(b"\0GPL\0")
    program.write_bytes(content.replace(b"\0GPL\0", b"\0BSD\0"))
    return objects


@pytest.mark.module
def test_a_node_whose_kernel_refuses_the_program_observes(pod: Pod, bare: None, refused_objects: Path) -> None:
    """The module is removed again, the report has the reason, and the kernel's own victim is reported."""
    assert bare is None
    attached.attach(objects=refused_objects)
    policy = Policy()
    _, big = small_and_big(pod, policy)

    assert "bpftool could not load oompolicy.bpf.o" in report()["message"]
    assert report()["message"].endswith("; the hook's module was removed again")
    assert "ObserveOnly" == report()["backend"]
    assert "None" == report()["hook"]
    assert report()["attached"] is True
    assert "oompolicy_hook" not in modules()
    assert big is pod.first_victim()
    assert 200 == policy.record_of(big).priority
    policy.close()


def test_a_refused_upgrade_leaves_the_policy_in_force(pod: Pod, bare: None, refused_objects: Path) -> None:
    """The loader ends with status 1, and the program of the earlier version still chooses the victim."""
    assert bare is None
    in_process.attach()
    upgrade = attached.loader("attach", *attached.with_module(), "--object-dir", refused_objects, check=False)
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()

    assert 1 == upgrade.returncode
    assert "bpftool could not load oompolicy.bpf.o" in upgrade.stderr
    assert "EvaluateTask" == report()["backend"]
    assert report()["attached"] is True
    assert small is pod.first_victim()
