# SPDX-License-Identifier: Apache-2.0
"""`oompolicy-loader preflight` on a real node: its answer is what `attach` then finds, and it changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.node import in_process
from tests.node import policy as attached
from tests.node.policy import BPFFS, MODULE, STOCK
from tests.node.running_agent import SETPRIV
from tests.node.test_loader import REPORT, modules, report

pytestmark = pytest.mark.once

HOST: Final = "/mnt"
HIDE: Final = """
mount -t tmpfs tmpfs "$0"
for folder in fs/bpf fs/cgroup firmware; do
	mkdir -p "$0/sys/$folder" && mount --rbind "/sys/$folder" "$0/sys/$folder"
	mount -t tmpfs tmpfs "/sys/$folder"
done
exec "$@"
"""
"""Moves folders of /sys below $0 and leaves empty ones, as in a container that mounts those of its node."""
DISABLED: Final = Path("/proc/sys/kernel/modules_disabled")


def preflight(*flags: str | Path, command: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run it as a user without any capability, unless `command` starts it otherwise."""
    program = [*(command or SETPRIV), sys.executable, "-m", "oompolicy_agent.loader", "preflight", "--output=json"]
    done = subprocess.run([*program, *map(str, flags)], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return dict(json.loads(done.stdout))


def rows(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in found["checks"]}


def test_the_answer_before_an_attach_is_what_it_finds(bare: None) -> None:
    """It needs no capability, and leaves no pin, no module and no report."""
    assert bare is None
    REPORT.unlink(missing_ok=True)
    found = preflight(*attached.with_module())
    left = (BPFFS.exists(), "oompolicy_hook" in modules(), REPORT.exists())
    in_process.attach()

    assert (False, False, False) == left
    assert "exact" == found["order"], found
    assert "none" == rows(found)["capabilities"]["found"]
    assert "EvaluateTask" == report()["backend"]


def test_an_attached_node_is_exact(bare: None) -> None:
    """A node with the hook needs neither a module file nor headers."""
    assert bare is None
    in_process.attach()
    found = preflight("--headers=/nowhere")

    assert "exact" == found["order"], found
    assert ("the hook's module is loaded" if STOCK else "this kernel has the hook") in found["because"]
    assert "note" == rows(found)["headers"]["verdict"]


@pytest.mark.module
def test_headers_make_a_node_exact_and_without_them_scores_remain(bare: None) -> None:
    """The answer has the missing file."""
    assert bare is None
    found, without = preflight(), preflight("--headers=/nowhere")
    observing = preflight("--headers=/nowhere", "--no-adjuster")

    assert "exact" == found["order"], found
    assert "by scores" == without["order"], without
    assert "no module can be built: there is no /nowhere/Makefile" == without["because"]
    assert "observes" == observing["order"]


def test_a_container_answers_for_its_node(bare: None) -> None:
    """Its own folders of /sys are empty. With those of the node below `--root`, the answer is that of the node."""
    assert bare is None
    container = ("unshare", "--mount", "sh", "-euc", HIDE, HOST, *SETPRIV)
    found = preflight(f"--root={HOST}", *attached.with_module(), command=container)
    blind = preflight(*attached.with_module(), command=container)

    assert "exact" == found["order"], found
    assert ("ok", "ok") == tuple(rows(found)[name]["verdict"] for name in ("Secure Boot", "cgroup"))
    assert "nothing" == blind["order"], blind
    assert "unknown" == rows(blind)["Secure Boot"]["verdict"]


@pytest.mark.module
@pytest.mark.own_guest
@pytest.mark.ends_the_guest
def test_a_kernel_that_takes_no_more_modules_leaves_scores(bare: None) -> None:
    """The kernel then refuses the module with the same file, as `preflight` says. Only a reboot ends that."""
    assert bare is None
    DISABLED.write_text("1")
    found = preflight("--module", MODULE)
    attached.attach()

    assert "by scores" == found["order"], found
    assert "kernel.modules_disabled=1: the kernel loads no module until it reboots" == found["because"]
    assert "disabled" == rows(found)["modules"]["found"]
    assert "ObserveOnly" == report()["backend"]
