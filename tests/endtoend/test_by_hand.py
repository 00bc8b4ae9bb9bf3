# SPDX-License-Identifier: Apache-2.0
"""docs/by-hand.md, run as it stands there: `sh` where kubectl is, a block with the title "On the node" on the node."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.cluster.ports import reserved_port
from tests.endtoend.guest import HOST
from tests.endtoend.shell import Shell
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.endtoend.scene import Scene

PAGE = CHECKOUT / "docs/by-hand.md"
BLOCK = re.compile(r'^```sh(?P<node> title="On the node")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
USED = ["crds", "deploy", "examples", "scripts", ".venv"]
LAST = "kubectl get events"
LISTEN = "127.0.0.1:8080"


@pytest.fixture
def reader(scene: Scene, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder that is the checkout for all that the page reads, with kubectl on its path."""
    kubectl = scene.installation.kubectl
    for name in USED:
        (tmp_path / name).symlink_to(CHECKOUT / name)
    path = f"{kubectl.program.parent}:{os.environ['PATH']}"
    words = {"PATH": path, "KUBECONFIG": str(kubectl.kubeconfig), "KUBECACHEDIR": str(kubectl.cache)}
    log = tmp_path / "shell.log"
    shell = Shell(tmp_path, log, words)
    yield shell
    # Else the session's own operator would have to wait for the Lease of the page's.
    shell.end(signal.SIGTERM)
    scene.guest.order("end_shell")
    # What runs in the background cannot fail a command.
    print(log.read_text())


@pytest.fixture
def port() -> Iterator[int]:
    """Instead of the page's, which may be taken on this machine."""
    with reserved_port() as port:
        yield port


def test_the_way_onto_a_cluster_can_be_followed(scene: Scene, reader: Shell, tmp_path: Path, port: int) -> None:
    """Up to the Event of an OOM that happens before the page's last command."""
    # The page's own take their places.
    scene.installation.stop_operator()
    scene.guest.order("kill_agent")
    scene.namespace("team")
    pod = scene.pod("team", "web", "BestEffort")
    scene.start(pod, 10)
    blocks = list(BLOCK.finditer(PAGE.read_text()))
    printed = ""
    for block in blocks:
        if block["node"]:
            # What the page says to copy. To the guest this machine has another address.
            text = (tmp_path / "agent.kubeconfig").read_text().replace("127.0.0.1", HOST)
            scene.guest.order("write_file", path="/checkout/agent.kubeconfig", text=text)
            status, printed = scene.guest.order("shell", block=block["text"])
        else:
            if LAST in block["text"]:
                scene.installation.await_priority(pod, 100)
                assert ["web"] == scene.exhaust("exhaust_pods")
                scene.kills(seconds=60)
            status, printed = reader.run(block["text"].replace(LISTEN, f"127.0.0.1:{port}"))
        assert 0 == status, printed

    assert len(blocks) >= 5
    assert f"pod/{pod.name}" in printed
    assert "OOMVictimKilled" in printed
    scene.installation.await_status()
    # Only an operator counts.
    matched = "--output=jsonpath={.status.matchedPods}"
    assert "2" == scene.printed("get", "oompolicy", "qos-classes", matched, wanted="2")
