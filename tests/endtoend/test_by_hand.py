# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/by-hand.md: `sh` blocks run beside kubectl, and blocks titled "On the node" on the node."""

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
    """Yield a shell in a folder with all files of the checkout that the page uses, and with kubectl on its path."""
    kubectl = scene.installation.kubectl
    for name in USED:
        (tmp_path / name).symlink_to(CHECKOUT / name)
    path = f"{kubectl.program.parent}:{os.environ['PATH']}"
    words = {"PATH": path, "KUBECONFIG": str(kubectl.kubeconfig), "KUBECACHEDIR": str(kubectl.cache)}
    log = tmp_path / "shell.log"
    shell = Shell(tmp_path, log, words)
    yield shell
    # Without SIGTERM the session's own operator would wait for the Lease of the page's operator.
    shell.end(signal.SIGTERM)
    scene.guest.order("end_shell")
    # A background process cannot make a command fail, so a failure shows its output.
    print(log.read_text())


@pytest.fixture
def port() -> Iterator[int]:
    """Yield a port in place of the port of the page, which may be in use on this machine."""
    with reserved_port() as port:
        yield port


def test_the_commands_of_the_page_by_hand_work(scene: Scene, reader: Shell, tmp_path: Path, port: int) -> None:
    """The commands of the page work, and the last one prints the Event of an OOM that happens before it."""
    # The page starts its own operator and agent.
    scene.installation.stop_operator()
    scene.guest.order("kill_agent")
    scene.namespace("team")
    pod = scene.pod("team", "web", "BestEffort")
    scene.start(pod, 10)
    blocks = list(BLOCK.finditer(PAGE.read_text()))
    printed = ""
    for block in blocks:
        if block["node"]:
            # The page says to copy this file. The guest has another address for this machine.
            text = (tmp_path / "agent.kubeconfig").read_text().replace("127.0.0.1", HOST)
            scene.guest.order("write_file", path="/checkout/agent.kubeconfig", text=text)
            status, printed = scene.guest.order("shell", block=block["text"])
        else:
            if LAST in block["text"]:
                scene.installation.await_priority(pod, 100)
                assert "web" == scene.first_victim("exhaust_pods")
                scene.kills(seconds=60)
            status, printed = reader.run(block["text"].replace(LISTEN, f"127.0.0.1:{port}"))
        assert 0 == status, printed

    assert len(blocks) >= 5
    assert f"pod/{pod.name}" in printed
    assert "OOMVictimKilled" in printed
    scene.installation.await_status()
    # Only an operator counts matching pods.
    matched = "--output=jsonpath={.status.matchedPods}"
    assert "2" == scene.printed("get", "oompolicy", "qos-classes", matched, wanted="2")
