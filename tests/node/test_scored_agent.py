# SPDX-License-Identifier: Apache-2.0
"""The agent, the observing program and the adjuster together enforce on a kernel without the hook, and say so."""

from __future__ import annotations

import stat
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.node import in_process
from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, write_manifests
from tests.node.model import PAGE
from tests.node.running_adjuster import RunningAdjuster, is_ordered, score, usage
from tests.node.running_agent import RUN_DIR, RunningAgent, wait_until
from tests.node.test_agent import BATCH, DATABASES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.node.hog import Hog
    from tests.node.machine import Node

pytestmark = pytest.mark.scores

LIMIT_MIB = 64
PAGES = (LIMIT_MIB << 20) // PAGE
ORIGINAL = {"postgres": 900, "report": 10, "web": 20}
"""The kernel's own scores would have chosen postgres."""


def settings(mode: str) -> dict[str, Any]:
    spec = {"mode": mode}
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMSettings",
        "metadata": {"name": "cluster"},
        "spec": spec,
    }


class Shop:
    """A database of priority 900, a batch job of priority 100, and the pod web of priority 500, which grows."""

    def __init__(self, node: Node, folder: Path) -> None:
        for parent in (folder, folder.parent, folder.parent.parent):
            parent.chmod(0o755)
        self.node, self.kubelet = node, Kubelet(node, root_limit=LIMIT_MIB)
        in_process.observe()
        self.adjuster, self.agent = RunningAdjuster(folder), RunningAgent(folder / "agent", RUN_DIR)
        self.adjuster.run_dir = RUN_DIR
        self.agent.options = ["--scores", "--adjuster-dir", str(self.adjuster.state)]
        self.pods = {
            "postgres": Pod("postgres-0", namespace="shop", labels={"app": "postgres"}),
            "report": Pod("report-x", namespace="batch", labels={"app": "report"}),
            "web": Pod("web-0", namespace="shop", labels={"app": "web"}),
        }
        self.hogs: dict[str, Hog] = {}

    def run(self, name: str, mib: int) -> None:
        cgroup = self.kubelet.container(self.pods[name], "app")
        self.hogs[name] = self.node.hog(cgroup, mib, adj=ORIGINAL[name], options=["--name", name])

    def start(self, mode: str, **sizes: int) -> None:
        """Start pods with these sizes in MiB, the adjuster and the agent, and wait until the adjuster obeys."""
        for name, mib in sizes.items():
            self.run(name, mib)
        self.adjuster.start()
        self.want(mode, *sizes)
        self.agent.start()
        self.wait_for({"Enforce": "ScoresInForce"}.get(mode, mode))

    def want(self, mode: str, *names: str) -> None:
        pods = [self.pods[name].manifest() for name in names]
        write_manifests(self.agent.manifests, DATABASES, BATCH, settings(mode), *pods)

    def wait_for(self, reason: str) -> None:
        wait_until(reason, lambda: self.agent.condition("Enforcing")["reason"] == reason)

    def grow(self, mib: int) -> None:
        """Let web grow by less than the margin, and wait for a look, after which it may grow by as much again."""
        assert self.hogs["web"].grow(mib)
        wait_until("a look", lambda: self.badness("report") - self.badness("web") > (mib << 20) // PAGE)

    def badness(self, name: str) -> int:
        """Return the kernel's badness in the limit of all pods, in pages."""
        pid = self.hogs[name].pid
        return usage(pid) + score(pid) * (PAGES // 1000)

    def run_out_of_memory(self) -> Hog:
        """Let web grow. Return the first victim."""
        return run_out_of_memory(self.hogs["web"], [self.hogs[name] for name in self.hogs if name != "web"])[0]

    def note(self) -> str:
        """Return the text of the first Event."""
        return str(wait_until("an Event", self.agent.events)[0]["note"])

    def close(self) -> None:
        for each in (self.agent, self.adjuster):
            each.kill()
            print(each.log.read_text() if each.log.exists() else "")


@pytest.fixture
def shop(node: Node, tmp_path: Path, bare: None) -> Iterator[Shop]:
    assert bare is None
    made = Shop(node, tmp_path)
    yield made
    made.close()


def test_a_node_without_the_hook_enforces_and_names_the_spared_process(shop: Shop) -> None:
    """The agent reads the report as a user without rights. After the kill, Off puts the kubelet's values back."""
    shop.start("Enforce", postgres=20, report=10, web=4)
    wait_until("the order", lambda: is_ordered([shop.hogs[name] for name in ("report", "web", "postgres")], PAGES))
    status = shop.agent.status()

    assert ["OOMScoreAdj", "None", "Enforce"] == [status[key] for key in ("backend", "hook", "mode")]
    assert "True" == shop.agent.condition("Enforcing")["status"] == shop.agent.condition("Ready")["status"]
    assert "no hook" in shop.agent.condition("Enforcing")["message"]
    assert 0 < status["order"]["marginBytes"]
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (shop.adjuster.state, *sorted(shop.adjuster.state.iterdir()))
    ]
    assert [0o711, 0o600, 0o600, 0o644] == modes
    shop.grow(16)
    assert shop.hogs["report"] is shop.run_out_of_memory()
    note = shop.note()
    assert "in container app of pod batch/report-x" in note
    assert "priority 100 from OOMPolicy batch" in note
    spared = "spared: postgres (pid {}) in container app of pod shop/postgres-0, priority 900, would have been killed"
    assert f"{spared.format(shop.hogs['postgres'].pid)} by the kernel's own scores " in note
    assert "missed" not in note
    assert 0 == shop.agent.status()["order"]["misses"]
    shop.want("Off", *shop.pods)
    shop.wait_for("Off")
    left = ("postgres", "web")
    wait_until("the kubelet's values", lambda: all(ORIGINAL[name] == score(shop.hogs[name].pid) for name in left))


def test_audit_leaves_the_choice_to_the_kernel_and_names_that_of_the_scores(shop: Shop) -> None:
    shop.start("Audit", postgres=20, report=10, web=4)
    assert ORIGINAL == {name: score(hog.pid) for name, hog in shop.hogs.items()}
    assert shop.hogs["postgres"] is shop.run_out_of_memory()
    note = shop.note()

    assert "in container app of pod shop/postgres-0" in note
    assert "s before, the scores would have killed " in note
    assert "missed" not in note


def test_a_pod_that_the_adjuster_has_not_seen_is_a_miss(shop: Shop) -> None:
    """The adjuster was killed, and its last look is fresh. The new batch job should have died before web."""
    shop.start("Enforce", postgres=20, web=30)
    wait_until("the order", lambda: is_ordered([shop.hogs[name] for name in ("web", "postgres")], PAGES))
    shop.adjuster.kill()
    shop.run("report", 6)
    shop.want("Enforce", *shop.pods)
    cgroup = f'"{shop.kubelet.container(shop.pods["report"], "app").id}": 100'
    wait_until("the request", partial(is_in, RUN_DIR / "wanted.json", cgroup))
    assert shop.hogs["web"] is shop.run_out_of_memory()

    assert "missed: container app of pod batch/report-x, priority 100, should have died before it" in shop.note()
    wait_until("the count", lambda: shop.agent.status()["order"]["misses"] == 1)


def is_in(path: Path, text: str) -> bool:
    return text in path.read_text()
