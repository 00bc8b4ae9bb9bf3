# SPDX-License-Identifier: Apache-2.0
"""The agent knows which of its threads ended by a defect, because it would report nothing without them."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.informer import Informer
from oompolicy_agent.api.environment import ApiEnvironment
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.problems import Problems

if TYPE_CHECKING:
    from pathlib import Path

KUBECONFIG = (
    "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],"
    " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_each_watch_that_has_ended_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/livez fails then, and the kubelet restarts the agent."""
    (tmp_path / "config").write_text(KUBECONFIG)
    ended: Queue[Informer[object]] = Queue()

    def end(informer: Informer[object]) -> float:
        ended.put(informer)
        raise SystemExit

    monkeypatch.setattr(Informer, "_turn", end)
    api = ApiEnvironment(
        Settings(kubeconfig=tmp_path / "config", node="node-1", state_dir=tmp_path), Problems(), Counters()
    )
    before = api.dead_threads()
    api.source.start()
    for _ in range(5):
        ended.get(timeout=10).join(10)
    after = api.dead_threads()
    api.close()

    assert () == before
    names = ("policies", "namespaces", "pods", "settings", "oomnodes")
    assert [f"the watch of {name} has ended by a defect" for name in names] == list(after)
