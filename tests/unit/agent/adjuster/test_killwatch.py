# SPDX-License-Identifier: Apache-2.0
"""A cgroup that cannot be watched is left out. `tests/node/test_kernel_log.py` has a kill below a watched one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from oompolicy_agent.adjuster.killwatch import KillWatch


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_cgroup_without_events_is_left_out(tmp_path: Path) -> None:
    """It is gone, or has no memory controller, or its file is none that the kernel reports changes of."""
    (tmp_path / "memory.events").write_text("oom_kill 0\n")
    before = open_files()
    with closing(KillWatch()) as watch:
        watch.watch([str(tmp_path), str(tmp_path / "gone")])
        watch.acknowledge()
        watch.watch([])

    assert before == open_files()
