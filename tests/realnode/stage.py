# SPDX-License-Identifier: Apache-2.0
"""The pods of the tests, on the real node, and what has become of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.cluster.waiting import eventually
from tests.realnode.pods import holder, hungry
from tests.realnode.realcluster import AGENTS, NAMESPACE, SLOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.endtoend.eventlog import EventLog, Seen
    from tests.realnode.realcluster import RealCluster

Name = tuple[str, str]
"""Namespace and name."""

KILLED: Final = "OOMVictimKilled"
DEMO: Final = tuple(f"examples/demo/{name}.yaml" for name in ("namespaces", "batch", "databases"))
POSTGRES, WEB, REPORT = ("shop", "postgres-0"), ("shop", "web"), ("batch", "report")
HUNGRY: Final = ("shop", "hungry")
PRIORITIES: Final = {POSTGRES: 900, WEB: 500, REPORT: 100}


class Stage:
    """Pods by namespace and name."""

    def __init__(self, cluster: RealCluster, events: EventLog) -> None:
        self.cluster, self.events, self.api = cluster, events, cluster.api

    def set_up(self) -> None:
        """Apply the demo, and return when the kernel knows the priority of each pod."""
        self.cluster.kubectl("apply", *(f"--filename={file}" for file in DEMO))
        # Of these the kernel alone would take the database: it is the biggest, and of the class that dies first.
        self.api.create(holder(*POSTGRES, "BestEffort", 100, {"app": "postgres"}))
        self.api.create(holder(*WEB, "Burstable", 60, {"app": "web"}))
        self.api.create(holder(*REPORT, "Guaranteed", 60, {}))
        for name, priority in PRIORITIES.items():
            self.await_running(name)
            self.await_priority(name, priority)

    def pod(self, name: Name) -> dict[str, Any]:
        return self.api.get("Pod", name[1], name[0])

    def container(self, name: Name) -> dict[str, Any]:
        """The status of its only one; empty while it has none."""
        found: list[dict[str, Any]] = self.pod(name).get("status", {}).get("containerStatuses", [{}])
        return found[0]

    def await_running(self, name: Name) -> None:
        eventually(lambda: self.container(name), lambda seen: "running" in seen.get("state", {}), deadline=SLOW_SECONDS)

    def await_priority(self, name: Name, wanted: int) -> None:
        """Of the pod's cgroup, in the kernel's map."""
        uid = self.pod(name)["metadata"]["uid"]
        eventually(lambda: self.cluster.guest.order("priority", uid=uid), lambda seen: seen == wanted, deadline=60)

    def starve(self) -> None:
        """Let a pod take all memory of the node until somebody has died."""
        # Emulated, reclaim takes minutes to get through what nobody needs any more.
        self.cluster.guest.order("shell", script="sync; echo 3 >/proc/sys/vm/drop_caches")
        before = self.cluster.guest.order("oom_kills")
        self.api.create(hungry(*HUNGRY))
        eventually(lambda: self.cluster.guest.order("oom_kills"), lambda seen: seen > before, deadline=SLOW_SECONDS)
        self.api.delete("Pod", HUNGRY[1], HUNGRY[0])
        # The next one has its name.
        eventually(
            lambda: self.api.list("Pod", HUNGRY[0]), lambda pods: HUNGRY[1] not in named(pods), deadline=SLOW_SECONDS
        )

    def killed_event(self, name: Name) -> Seen:
        """The first Event about a killed process of this pod that now runs."""
        uid = self.pod(name)["metadata"]["uid"]
        return self.events.wait(f"{KILLED} on {name[1]}", about_kills_in(uid), seconds=120)

    def told(self, name: Name) -> int:
        """How many killed processes of this pod there are Events for."""
        uid = self.pod(name)["metadata"]["uid"]
        found = self.events.wait_for_sum(about_kills_in(uid), 0, seconds=0)
        return sum(each.count for each in found)

    def send_agent_away(self) -> None:
        """Until it is called back: the DaemonSet is for nodes that nobody has."""
        self._keep_agents_to({"nobody": "has"})
        eventually(lambda: self.api.list("Pod", NAMESPACE, labelSelector=AGENTS), lambda pods: not pods, deadline=120)

    def call_agent_back(self) -> None:
        """Return when it is there."""
        self._keep_agents_to({"nobody": None})
        self.cluster.await_agent()

    def _keep_agents_to(self, nodes: dict[str, str | None]) -> None:
        change = {"spec": {"template": {"spec": {"nodeSelector": nodes}}}}
        self.api.patch("DaemonSet", "oompolicy-agent", change, namespace=NAMESPACE)

    def kill_one_at_a_time(self, name: Name) -> None:
        """Undo what the kubelet asks of the kernel: that all of a container goes with one of its processes."""
        uid = self.pod(name)["metadata"]["uid"]
        self.cluster.guest.order("shell", script=f"echo 0 | tee /sys/fs/cgroup/kubepods/*/pod{uid}/*/memory.oom.group")


def about_kills_in(uid: str) -> Callable[[Seen], bool]:
    """Whether an Event is about a killed process of that pod."""
    return lambda seen: (seen.pod, seen.reason) == (uid, KILLED)


def named(pods: Iterable[dict[str, Any]]) -> set[str]:
    """Their names."""
    return {each["metadata"]["name"] for each in pods}
