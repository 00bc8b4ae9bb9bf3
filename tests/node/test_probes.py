# SPDX-License-Identifier: Apache-2.0
"""The module's build looks for functions in the kernel's headers. In these tests the headers lack one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.node import policy as attached
from tests.node.policy import BUILD, Policy
from tests.node.test_loader import modules, report, small_and_big

if TYPE_CHECKING:
    from tests.node.conftest import Pod

pytestmark = [pytest.mark.module, pytest.mark.compiles]

RELEASE: Final = os.uname().release.removesuffix("-cloud-amd64")
INCLUDE: Final = Path(f"/usr/src/linux-headers-{RELEASE}-common/include/linux")
"""The folder of the headers that all of Debian's kernels of one version share."""


def build_without(function: str, header: str, made: Path) -> None:
    """Build the module `made` with a header that does not have the function."""
    changed = made.with_name(header)
    text = (INCLUDE / header).read_text()
    assert function in text
    changed.write_text(text.replace(function, "another_function"))
    builder = [sys.executable, "-m", "oompolicy_agent.loader", "build", "--module", made, "--source", "kernel/module"]
    # Only this build sees the changed header.
    hidden = ["unshare", "--mount", "sh", "-euc", 'mount --bind "$0" "$1"; shift; exec "$@"', changed, INCLUDE / header]
    subprocess.run(list(map(str, [*hidden, *builder])), check=True, capture_output=True)


def attach(made: Path) -> None:
    attached.loader("attach", "--module", made, "--object-dir", BUILD / "bpf")


def test_headers_without_hooks_for_modules_are_refused(bare: None, tmp_path: Path) -> None:
    """The report says in one sentence what the headers lack. The node observes, and no module is loaded."""
    assert bare is None
    made = tmp_path / "oompolicy_hook.ko"
    build_without("register_btf_fmodret_id_set", "btf.h", made)
    attach(made)

    assert not made.exists()
    assert "ObserveOnly" == report()["backend"]
    assert report()["attached"] is True
    assert report()["message"].startswith("there is no module for this kernel: it cannot be compiled against ")
    assert "This kernel takes no hook from a module: its linux/btf.h lacks register_btf_fmod" in report()["message"]
    assert "oompolicy_hook" not in modules()


def test_headers_without_arguments_for_callbacks_make_a_module_that_enforces(
    pod: Pod, bare: None, tmp_path: Path
) -> None:
    """On x86-64 the module then reads the arguments of a traced function from the saved registers, as on RHEL 9."""
    assert bare is None
    made = tmp_path / "oompolicy_hook.ko"
    build_without("ftrace_regs_get_argument", "ftrace_regs.h", made)
    attach(made)
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()

    assert "EvaluateTask" == report()["backend"]
    assert "Module" == report()["hook"]
    assert "" == report()["message"]
    assert small is pod.first_victim()
