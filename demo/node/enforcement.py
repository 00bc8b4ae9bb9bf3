# SPDX-License-Identifier: Apache-2.0
"""Enforces the policy as on a node: the loader runs as root, and the agent without privilege. Waits for their files."""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from oompolicy.manifests import load_manifests
from oompolicy.oomsettings import Mode
from oompolicy.order.facts import PATH, SOCKET
from oompolicy.resolve import resolve
from oompolicy_agent.plumbing import inotify

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.model import Assignment

EXAMPLES: Final = Path("examples/demo")
NODE: Final = "demo-node"
AGENT_ID: Final = "41317"
STATUS: Final = Path("/run/oompolicy/status.json")
SCENE: Final = Path("/run/demo")
EVENTS: Final = SCENE / "out/events.yaml"
LOG: Final = SCENE / "agent.log"
MANIFESTS: Final = SCENE / "manifests"
SETTINGS: Final = MANIFESTS / "settings.yaml"
PATIENCE: Final = 120.0
"""The time limit of each wait in seconds. Each wait takes a few."""

# The kubelet starts a container like this: with runAsUser, no capability, and the weight of a critical pod.
UNPRIVILEGED: Final = (
    *("choom", "-n", "-997", "--"),
    *("setpriv", "--reuid", AGENT_ID, "--regid", AGENT_ID, "--clear-groups"),
    *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"),
)


class EnforcementError(Exception):
    """Loader, agent or command line failed. The message has their output."""


def attach() -> dict[str, Any]:
    """Load module and programs, and return the loader's report."""
    module = Path("build", f"module-{os.environ['OOMPOLICY_KERNEL']}", "oompolicy_hook.ko")
    said = _python("oompolicy_agent.loader", "attach", "--module", str(module), "--object-dir", "build/bpf")
    report: dict[str, Any] = json.loads(Path("/run/oompolicy/loader.json").read_text())
    if report["backend"] != "EvaluateTask":
        raise EnforcementError(f"the loader did not attach the hook: {report['message']}\n{said}")
    return report


def resolved() -> tuple[Assignment, ...]:
    """Return what `oompolicy resolve` prints for the node's pods. The guest does not have its libraries."""
    found = load_manifests([EXAMPLES])
    return resolve(found.policies, found.namespaces, [pod for pod in found.pods if pod.node_name == NODE])


def start_agent(mode: Mode) -> subprocess.Popen[bytes]:
    """Start the agent with a copy of the examples, and with this mode in OOMSettings."""
    shutil.copytree(EXAMPLES, MANIFESTS)
    set_mode(mode)
    EVENTS.parent.mkdir()
    os.chown(EVENTS.parent, int(AGENT_ID), int(AGENT_ID))
    command = [*UNPRIVILEGED, sys.executable, "-m", "oompolicy_agent"]
    command += ["--manifests", str(MANIFESTS), "--node", NODE, "--output", str(EVENTS)]
    with LOG.open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def set_mode(mode: Mode) -> None:
    """Write OOMSettings into the agent's folder, as `kubectl edit ooms cluster` does in a cluster."""
    head = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": {"name": "cluster"}}
    SETTINGS.write_text(yaml.safe_dump({**head, "spec": {"mode": mode.value}}))


def wait_until_synced(agent: subprocess.Popen[bytes], pods: int, mode: Mode) -> dict[str, Any]:
    """Return the agent's status when the mode, and the priorities of so many pods, are in the kernel."""
    _wait(STATUS, lambda: _synced(_status(), pods, mode), agent)
    return _status()


def identity(agent: subprocess.Popen[bytes]) -> str:
    """Return the agent's user and capabilities, which the kernel reports."""
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if line.startswith(("Uid", "CapEff")))
    return f"uid {fields['Uid'].split()[1]}, CapEff {fields['CapEff']}"


def wait_for_event(agent: subprocess.Popen[bytes], number: int) -> str:
    """Return the text of the Event of this number, counted from 1."""
    _wait(EVENTS, lambda: len(_events()) >= number, agent)
    return _events()[number - 1]


def parse_event(text: str) -> dict[str, Any]:
    """Return the Event as data."""
    return dict(yaml.safe_load(text))


def order() -> bytes:
    """Return the answer of the agent to `oompolicy order --socket`. The guest does not have the command's libraries."""
    client = http.client.HTTPConnection("localhost")
    with closing(socket.socket(socket.AF_UNIX)) as connected:
        connected.settimeout(PATIENCE)
        connected.connect(str(STATUS.with_name(SOCKET)))
        client.sock = connected
        client.request("GET", PATH)
        answer = client.getresponse()
        found = answer.read()
    if answer.status != http.client.OK:
        raise EnforcementError(f"the agent does not serve the order: {found.decode(errors='replace')}")
    return found


def _events() -> list[str]:
    """Return the documents of the agent's file. Each begins with its own line, and is written at once."""
    documents = EVENTS.read_text().split("---\n") if EVENTS.exists() else []
    return [each for each in documents if each.strip()]


def _status() -> dict[str, Any]:
    return dict(json.loads(STATUS.read_text())) if STATUS.exists() else {}


def _synced(status: dict[str, Any], pods: int, mode: Mode) -> bool:
    """Return whether the status has this mode. The condition Enforcing is True only in the mode Enforce."""
    true = {condition["type"] for condition in status.get("conditions", ()) if condition["status"] == "True"}
    wanted = {"Ready", "Synced"} | ({"Enforcing"} if mode is Mode.ENFORCE else set())
    return wanted <= true and status["mode"] == mode and status["counts"]["podsMapped"] == pods


def _wait(path: Path, condition: Callable[[], bool], agent: subprocess.Popen[bytes]) -> None:
    """Call `condition` after each change beside `path`, as long as the agent lives."""
    end = time.monotonic() + PATIENCE
    watch, life = inotify.Inotify(), os.pidfd_open(agent.pid)
    try:
        watch.add(path.parent, inotify.CLOSE_WRITE | inotify.MOVED_TO)
        while not condition():
            ready = select.select([watch.fd, life], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready or life in ready:
                why = "ended" if ready else f"did not do it within {PATIENCE:.0f} s"
                raise EnforcementError(f"waiting for {path}: the agent {why}:\n{LOG.read_text()}")
            watch.read()
    finally:
        os.close(life)
        watch.close()


def _python(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnforcementError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
