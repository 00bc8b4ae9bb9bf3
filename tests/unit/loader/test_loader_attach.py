# SPDX-License-Identifier: Apache-2.0
"""What attach leaves on a node that cannot carry it."""

import json
import os
from pathlib import Path

from oompolicy_agent.loader.main import main


def test_an_agent_can_run_where_nothing_can_be_attached(tmp_path: Path) -> None:
    """It has its folders and the reason, which it tells the cluster."""
    run, state = tmp_path / "run", tmp_path / "state"
    flags = [f"--run-dir={run}", f"--state-dir={state}", f"--bpffs={tmp_path}/pins", f"--cgroup-root={tmp_path}"]
    ids = [f"--uid={os.getuid()}", f"--gid={os.getgid()}"]

    assert 0 == main(["attach", *flags, *ids])
    assert json.loads((run / "loader.json").read_text())["message"]
    assert (0o755, 0o750) == (run.stat().st_mode & 0o777, state.stat().st_mode & 0o777)
