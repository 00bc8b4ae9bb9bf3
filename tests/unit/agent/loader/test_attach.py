# SPDX-License-Identifier: Apache-2.0
"""`attach` on a node that does not meet the requirements."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from oompolicy_agent.loader import attach
from oompolicy_agent.loader.main import main
from oompolicy_agent.loader.node import inspect_node


@pytest.mark.parametrize(("capabilities", "given"), [({"CHOWN"}, True), (set(), False)])
def test_an_agent_can_run_where_nothing_can_be_attached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capabilities: set[str], given: bool
) -> None:
    """The loader writes the reason, and gives the agent its folders if it has the capability for that."""
    node = replace(inspect_node(tmp_path / "pins", tmp_path), capabilities=frozenset(capabilities))
    monkeypatch.setattr(attach, "inspect_node", lambda *_: node)
    run, state = tmp_path / "run", tmp_path / "state"
    flags = [f"--run-dir={run}", f"--state-dir={state}", f"--bpffs={tmp_path}/pins", f"--cgroup-root={tmp_path}"]
    # The folders are the test's own and keep their owner, so the test needs no root.
    ids = [f"--uid={os.getuid()}", f"--gid={os.getgid()}"]

    assert 0 == main(["attach", *flags, *ids])
    assert json.loads((run / "loader.json").read_text())["message"]
    assert given == state.exists()
