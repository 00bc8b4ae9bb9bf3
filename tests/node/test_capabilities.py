# SPDX-License-Identifier: Apache-2.0
"""The capabilities that the chart gives to the loader are enough. It runs as root and cannot gain others."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.node.policy import BPFFS, BUILD, MODULE, STOCK
from tests.node.test_loader import modules, report
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

LISTS: Final = re.findall(
    r"^\[([A-Z_, ]+)\]$",
    (CHECKOUT / "charts/oompolicy/templates/agent/_loader.tpl").read_text(),
    re.MULTILINE,
)


def loader(capabilities: str, verb: str, *flags: str | Path) -> subprocess.CompletedProcess[str]:
    kept = ",".join(f"+{each.strip().lower()}" for each in capabilities.split(","))
    confined = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all", f"--bounding-set=-all,{kept}", "--no-new-privs")
    command = [*confined, sys.executable, "-m", "oompolicy_agent.loader", verb, *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_chart_has_three_lists() -> None:
    """One list is for a module, and one for a hook in the kernel, or none. A proof needs the third list, too."""
    assert ["SYS_MODULE" in each for each in LISTS] == [True, False, False]
    assert ["SYS_PTRACE" in each for each in LISTS] == [False, False, True]


@pytest.mark.module
def test_the_charts_capabilities_suffice_for_a_module(bare: None) -> None:
    """The loader can attach, attach again when the agent's user has the pins, and detach."""
    assert bare is None
    for _ in range(2):
        done = loader(LISTS[0], "attach", "--module", MODULE, "--object-dir", BUILD / "bpf")
        assert 0 == done.returncode, done.stderr
    found = report()
    done = loader(LISTS[0], "detach")

    assert "EvaluateTask" == found["backend"]
    assert "Module" == found["hook"]
    assert found["attached"] is True
    assert 0 == done.returncode
    assert not BPFFS.exists()
    assert "oompolicy_hook" not in modules()


def test_the_charts_capabilities_suffice_without_a_module(bare: None) -> None:
    """The loader can attach twice and detach on a kernel that has the hook built in, or has no hook."""
    assert bare is None
    for _ in range(2):
        done = loader(LISTS[1], "attach", "--object-dir", BUILD / "bpf")
        assert 0 == done.returncode, done.stderr
    found = report()
    done = loader(LISTS[1], "detach")

    assert found["attached"] is True
    assert ("None" if STOCK else "Kernel") == found["hook"]
    assert 0 == done.returncode
    assert not BPFFS.exists()


@pytest.mark.module
def test_without_a_modules_capabilities_the_attachment_stays(bare: None) -> None:
    """After an upgrade to `hook.source: none` the node still enforces, and the module cannot be removed."""
    assert bare is None
    done = loader(LISTS[0], "attach", "--module", MODULE, "--object-dir", BUILD / "bpf")
    assert 0 == done.returncode, done.stderr
    done = loader(LISTS[1], "attach", "--object-dir", BUILD / "bpf")
    found = report()
    links = [each for each in (BPFFS / "links").iterdir() if any(each.iterdir())]
    gone = loader(LISTS[1], "detach")

    assert 0 == done.returncode
    assert "EvaluateTask" == found["backend"]
    assert found["attached"] is True
    assert "the loader lacks CAP_SYS_ADMIN" in found["message"]
    assert [found["object"]] == [each.name for each in links]
    assert 1 == gone.returncode
    assert "oompolicy_hook" in modules()
    assert "oompolicy_hook stays loaded: Operation not permitted" in gone.stderr
