# SPDX-License-Identifier: Apache-2.0
"""Compare the conditions, Events, map entries and logs after a storm with what they must be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.agent.hostile.pods import MIRROR
from tests.cluster.agent.hostile.readable import flaw
from tests.cluster.agent.hostile.storm import container_ids, scope
from tests.unit.agent.fakes import id_of
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

FINISHED: Final = ("Succeeded", "Failed")
_PROBLEM: Final = re.compile(r"\S+ \S+ E ([A-Z]\w+): ")
_RESOLVED: Final = re.compile(r"\S+ \S+ I ([A-Z]\w+): resolved")
# kopf writes the first error for each request to an API server that restarts.
_EXPECTED: Final = r"Request attempt #\d/9 failed; will retry|ended: the Lease could not be renewed"
_BAD_LINE: Final = re.compile(rf"Traceback|never retrieved|^\S+ \S+ (C|E (?!{_EXPECTED}))")


def unreported_policies(api: Api) -> list[str]:
    """Return the policies and settings without an up-to-date and readable condition Ready."""
    found = []
    for each in (*api.list("OOMPolicy"), *api.list("OOMSettings")):
        status, generation = each.get("status") or {}, each["metadata"]["generation"]
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        ready = conditions.get("Ready", {})
        why = flaw(ready.get("message", "")) or (
            "" if ready.get("status") in ("True", "False") and ready.get("reason") else "no condition Ready"
        )
        # A condition of another type belongs to the user who wrote it.
        own = [conditions.get("Ready"), conditions.get("Overlapping"), conditions.get("Applied")]
        if why or status.get("observedGeneration") != generation or "Hacked" in str(own):
            found.append(f"{each['metadata']['name']}: {why} {status}")
    return found


def resolved(agent: RunningAgent) -> list[dict[str, Any]]:
    """Return what the command line says about the pods of the node."""
    paths = os.pathsep.join(str(CHECKOUT / each) for each in ("operator", "agent", "."))
    command = [sys.executable, "-m", "oompolicy", "resolve", "--cluster", "--kubeconfig", str(agent.cluster.admin)]
    answer = subprocess.run(
        [*command, "--node", agent.node, "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert answer.returncode in (0, 1), answer.stderr
    assert "Traceback" not in answer.stderr
    return [dict(each) for each in json.loads(answer.stdout)]


def living(agent: RunningAgent, api: Api) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the pods of the node that have not finished, each with what the command line says about it."""
    raw = {each["metadata"]["uid"]: each for each in api.list("Pod")}
    found = [(raw[each["uid"]], each) for each in resolved(agent) if each["uid"] in raw]
    return [(pod, each) for pod, each in found if pod["status"].get("phase") not in FINISHED]


def differences(agent: RunningAgent, api: Api) -> list[str]:
    """Return the cgroups of living pods whose written priority is not the one of the command line."""
    last = {line.split()[0]: int(line.split()[1]) for line in agent.written()}
    found = []
    for pod, each in living(agent, api):
        # A mirror pod's cgroup has another name.
        if MIRROR in pod["metadata"].get("annotations", {}):
            continue
        path, priorities = agent.cgroup_of(pod), {one["name"]: one["priority"] for one in each["containers"]}
        wanted = {path: each["priority"]} | {
            f"{path}/{scope(container_id)}": priorities[name]
            for name, container_id in container_ids(pod).items()
            if name in priorities
        }
        for cgroup, priority in wanted.items():
            exists = (agent.root / cgroup).is_dir()
            if exists and last.get(str(id_of(agent.root, cgroup))) != priority:
                found.append(f"{each['namespace']}/{each['pod']}: {cgroup}: {priority} {each['reason']}")
    return found


def unreported_refusals(agent: RunningAgent, api: Api) -> list[str]:
    """Return the refused annotations of living pods that no readable Event names."""
    notes: dict[str, list[str]] = {}
    for event in api.list("Event"):
        notes.setdefault(event["regarding"].get("uid", ""), []).append(event["note"])
    found = [f"{flaw(note)}: {note!r}" for each in notes.values() for note in each if flaw(note)]
    for _, each in living(agent, api):
        for refusal in each["refusals"]:
            start = f"annotation {refusal['annotation']}: "
            if not any(note.startswith(start) and " is refused: " in note for note in notes.get(each["uid"], ())):
                found.append(f"{each['namespace']}/{each['pod']}: {refusal}")
    return found


def bad_lines(log: Path) -> list[str]:
    """Return the lines of tracebacks, of errors without a name, and of errors that were not resolved."""
    found: list[str] = []
    problems: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        if problem := _PROBLEM.match(line):
            problems[problem.group(1)] = line
        elif resolved := _RESOLVED.match(line):
            problems.pop(resolved.group(1), None)
        elif _BAD_LINE.search(line):
            found.append(line)
    return [*found, *problems.values()]


def peak_mib(pid: int) -> int:
    """Return the largest memory of a process so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024
