# SPDX-License-Identifier: Apache-2.0
"""Draw hostile requests, one per number, and send them. The same seed draws the same requests."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from oompolicy.kube.nesting import read_whole
from tests.cluster.agent.hostile import pods, policies, settings
from tests.cluster.agent.hostile.case import APPLY, Answer, Case
from tests.cluster.agent.hostile.readable import flaw_of_refusal, is_read
from tests.cluster.cluster import client
from tests.unit.agent.fakes import make

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.cluster import Cluster

OURS: Final = frozenset({"OOMPolicy", "OOMSettings", "OOMNode"})
REFUSALS: Final = frozenset({400, 403, 404, 409, 413, 415, 422})
"""The HTTP statuses of a refusal. 404 is a change of an object that an earlier request deleted."""


class Storm:
    """The requests so far. `victim` is the uid of the pod whose cgroup the forged pods claim."""

    def __init__(self, cluster: Cluster, agent: RunningAgent, seed: int, victim: str) -> None:
        self._url, self._http = cluster.url, client(cluster.pki.ca, cluster.pki.admin)
        self._agent, self._seed, self._victim = agent, seed, victim
        self._stored: dict[str, list[str]] = {"OOMPolicy": [], "OOMNode": [], "Pod": []}
        self.counts: Counter[str] = Counter()
        self.flaws: list[str] = []

    def blow(self, numbers: range) -> None:
        """Send the requests with these numbers, and what follows each accepted one."""
        for number in numbers:
            self.send(self._draw(number, Random(f"{self._seed}:{number}")), number)  # noqa: S311 - no secrets

    def send(self, case: Case, number: int) -> None:
        """Send one request, and judge the answer."""
        answer = self._ask(case)
        self.counts[f"{case.kind} {'accepted' if answer.accepted else 'refused'}"] += 1
        if not answer.accepted:
            self._judge(answer, number)
            return
        self._remember(case)
        if case.kind == "Pod" and case.method != "DELETE":
            self._run(answer.stored)
        for each in case.then:
            self.send(each, number)

    def _draw(self, number: int, rng: Random) -> Case:
        kind = rng.choices(["policy", "settings", "oomnode", "pod", "change"], [35, 12, 8, 33, 12])[0]
        if kind == "policy":
            return policies.policy(rng, f"p-{number}", self._stored["OOMPolicy"])
        if kind == "settings":
            return settings.settings(rng)
        if kind == "oomnode":
            return settings.oomnode(rng, f"ghost-{number}", self._stored["OOMNode"])
        if kind == "change" and self._stored["Pod"]:
            namespace, _, name = rng.choice(self._stored["Pod"]).partition("/")
            return pods.change(rng, namespace, name, self._victim)
        return pods.pod(rng, f"pod-{number}", self._agent.node, self._victim)

    def _ask(self, case: Case) -> Answer:
        answer = self._http.request(
            case.method,
            f"{self._url}{case.path}?{urlencode(case.query)}",
            body=case.body,
            headers={"Content-Type": case.content_type, "Accept": "application/json"},
            timeout=60,
        )
        try:
            found: Any = read_whole(answer.data)
        except ValueError:
            found = {"message": answer.data.decode(errors="replace")}
        return Answer(case, answer.status, str(found.get("message", "")), found)

    def _judge(self, answer: Answer, number: int) -> None:
        case = answer.case
        read = is_read(case.body) and "error converting YAML to JSON" not in answer.message
        # Kubernetes answers 500 to server-side apply of a value of a wrong type, with the field and the value.
        typed = "failed to create typed patch object" in answer.message and ".spec" in answer.message
        applied = case.content_type == APPLY and typed
        known = answer.status in REFUSALS or (applied and answer.status == 500)
        why = "" if known else f"status {answer.status}"
        if case.kind in OURS and answer.status != 404 and not applied:
            fields = case.fields if read else ()
            why = why or flaw_of_refusal(answer.message, fields, case.body.decode(errors="replace"))
        if why:
            body = policies.as_text(case.body)
            request = f"{number}: {case.method} {case.path}"
            self.flaws.append(f"{request}: {why}: {answer.status} {answer.message[:600]!r} for {body}")

    def _remember(self, case: Case) -> None:
        stored = self._stored.get(case.kind)
        namespace = case.path.partition("/namespaces/")[2].partition("/")[0]
        name = f"{namespace}/{case.name}" if namespace else case.name
        if stored is None:
            return
        if case.method == "POST":
            stored.append(name)
        elif case.method == "DELETE" and name in stored:
            stored.remove(name)

    def _run(self, pod: dict[str, Any]) -> None:
        """Make the cgroups of a pod and of the containers in its status, as the kubelet and the runtime do."""
        path = self._agent.cgroup_of(pod)
        made = [path]
        for container_id in container_ids(pod).values():
            made.append(f"{path}/{scope(container_id)}")
        make(self._agent.root, *made)


def container_ids(pod: dict[str, Any]) -> dict[str, str]:
    """Return the containers whose ids a runtime could have given, with these ids."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    found = {each["name"]: each.get("containerID", "").rpartition("://")[2] for each in statuses}
    return {name: each for name, each in found.items() if len(each) == 64 and set(each) <= set("0123456789abcdef")}


def scope(container_id: str) -> str:
    """Return the name of a container's cgroup below its pod's."""
    return f"cri-containerd-{container_id}.scope"
