# SPDX-License-Identifier: Apache-2.0
"""The usage of a pod's program is read, with this process as the pod's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.realnode import usage


def test_a_pods_program_is_found_by_its_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is in the cgroup of the pod's container, and the figures are in the kernel's files."""
    container = tmp_path / "kubepods/burstable/pod1/app"
    container.mkdir(parents=True)
    (container / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (container / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    monkeypatch.setattr(usage, "CGROUPS", tmp_path)
    found = usage.usage("1", Path(sys.executable).name)

    assert 1.5 == found["cpu"]
    assert found["Rss"] >= found["Private_Dirty"] > 0
    with pytest.raises(LookupError, match="runs no-such-program"):
        usage.usage("1", "no-such-program")
