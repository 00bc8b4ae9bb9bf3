# SPDX-License-Identifier: Apache-2.0
"""The pods of the tests on the real node, and their state."""

from __future__ import annotations

import re
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
OF_POLICIES: Final = (REPORT, HUNGRY, WEB, POSTGRES)
OF_KERNEL: Final = (HUNGRY, POSTGRES, WEB, REPORT)
"""The order in which the pods die. The kernel may kill more than one of them for one shortage, because it hides a
victim from the next scan a moment before the victim's last pages are free."""
_CHOSEN: Final = re.compile(r"^\[ *([\d.]+)\] oom-kill:.*,task_memcg=(/[^,]*),task=", re.MULTILINE)


class Stage:
    """The pods by namespace and name."""

    def __init__(self, cluster: RealCluster, events: EventLog) -> None:
        self.cluster, self.events, self.api = cluster, events, cluster.api

    def set_up(self) -> None:
        """Apply the demo, and return when the kernel's map has the priority of each pod."""
        self.cluster.kubectl("apply", *(f"--filename={file}" for file in DEMO))
        # The kernel alone would kill the database: it is the biggest, and has the class that dies first.
        self.api.create(holder(*POSTGRES, "BestEffort", 100, {"app": "postgres"}))
        self.api.create(holder(*WEB, "Burstable", 60, {"app": "web"}))
        self.api.create(holder(*REPORT, "Guaranteed", 60, {}))
        for name, priority in PRIORITIES.items():
            self.await_running(name)
            self.await_priority(name, priority)

    def pod(self, name: Name) -> dict[str, Any]:
        return self.api.get("Pod", name[1], name[0])

    def container(self, name: Name) -> dict[str, Any]:
        """Return the status of the pod's only container, or nothing while it has no status."""
        found: list[dict[str, Any]] = self.pod(name).get("status", {}).get("containerStatuses", [{}])
        return found[0]

    def loader_end(self) -> tuple[str, int]:
        """Return how the loader of the agent's pod ended: the reason that the kubelet gives, and its restarts."""
        (agent,) = self.api.list("Pod", NAMESPACE, labelSelector=AGENTS)
        (loader,) = (each for each in agent["status"]["initContainerStatuses"] if each["name"] == "loader")
        return loader["state"]["terminated"]["reason"], loader["restartCount"]

    def await_running(self, name: Name) -> None:
        eventually(lambda: self.container(name), lambda seen: "running" in seen.get("state", {}), deadline=SLOW_SECONDS)

    def await_priority(self, name: Name, wanted: int) -> None:
        """Wait until the kernel's map has the priority for the pod's cgroup."""
        uid = self.pod(name)["metadata"]["uid"]
        eventually(lambda: self.cluster.guest.order("priority", uid=uid), lambda seen: seen == wanted, deadline=60)

    def run_out_of_memory(self) -> list[Name]:
        """Let a pod take all memory of the node until the kernel has killed a process.

        Return the pods of the killed processes in the kernel's order, after the kubelet has started them again.
        """
        containers = {name: self.container(name)["containerID"] for name in PRIORITIES}
        # Under emulation it takes minutes to reclaim memory that no process needs any more.
        self.cluster.guest.order("shell", script="sync; echo 3 >/proc/sys/vm/drop_caches")
        before = self.cluster.guest.order("oom_kills")
        last = max((time for time, _ in self._chosen()), default=0.0)
        self.api.create(hungry(*HUNGRY))
        uids = {self.pod(name)["metadata"]["uid"]: name for name in (*PRIORITIES, HUNGRY)}
        eventually(lambda: self.cluster.guest.order("oom_kills"), lambda seen: seen > before, deadline=SLOW_SECONDS)
        self.api.delete("Pod", HUNGRY[1], HUNGRY[0])
        # The next hungry pod has the same name.
        eventually(
            lambda: self.api.list("Pod", HUNGRY[0]),
            lambda pods: HUNGRY[1] not in pod_names(pods),
            deadline=SLOW_SECONDS,
        )
        paths = [path for time, path in self._chosen() if time > last]
        killed = [
            next((name for uid, name in uids.items() if uid in path), ("no pod of the tests", path)) for path in paths
        ]
        for name in containers.keys() & set(killed):
            self._await_restart(name, containers[name])
        return killed

    def _chosen(self) -> list[tuple[float, str]]:
        """Return time and cgroup of each process that the kernel has chosen so far, from its log."""
        return [
            (float(time), path) for time, path in _CHOSEN.findall(self.cluster.guest.order("shell", script="dmesg"))
        ]

    def _await_restart(self, name: Name, container: str) -> None:
        """Wait until another container runs in the pod. The kubelet waits longer before each restart of a pod."""
        eventually(
            lambda: self.container(name),
            lambda seen: seen["containerID"] != container and "running" in seen["state"],
            deadline=SLOW_SECONDS,
        )

    def await_end(self, uid: str) -> None:
        """Wait until the cgroup of a deleted pod is gone, so that no process of the pod can be killed any more."""
        script = f"ls -d /sys/fs/cgroup/kubepods/*/pod{uid} /sys/fs/cgroup/kubepods/pod{uid} 2>/dev/null || true"
        eventually(
            lambda: self.cluster.guest.order("shell", script=script),
            lambda seen: not seen.strip(),
            deadline=SLOW_SECONDS,
        )

    def killed_event(self, name: Name) -> Seen:
        """Return the first Event about a killed process of the pod that now has this name."""
        uid = self.pod(name)["metadata"]["uid"]
        return self.events.wait(f"{KILLED} on {name[1]}", about_kills_in(uid), seconds=120)

    def reported_kills(self, name: Name) -> int:
        """Return the number of killed processes of this pod in Events."""
        uid = self.pod(name)["metadata"]["uid"]
        found = self.events.wait_for_sum(about_kills_in(uid), 0, seconds=0)
        return sum(each.count for each in found)

    def remove_agent(self) -> None:
        """Remove the agent's pod: the DaemonSet gets a node selector that matches no node."""
        self._set_node_selector({"no-such-label": "true"})
        eventually(lambda: self.api.list("Pod", NAMESPACE, labelSelector=AGENTS), lambda pods: not pods, deadline=120)

    def restore_agent(self) -> None:
        """Remove the node selector, and return when the agent is ready."""
        self._set_node_selector({"no-such-label": None})
        self.cluster.await_agent()

    def _set_node_selector(self, nodes: dict[str, str | None]) -> None:
        change = {"spec": {"template": {"spec": {"nodeSelector": nodes}}}}
        self.api.patch("DaemonSet", "oompolicy-agent", change, namespace=NAMESPACE)

    def disable_group_kills(self, name: Name) -> None:
        """Disable memory.oom.group, which the kubelet sets so that all processes of a container die together."""
        uid = self.pod(name)["metadata"]["uid"]
        self.cluster.guest.order("shell", script=f"echo 0 | tee /sys/fs/cgroup/kubepods/*/pod{uid}/*/memory.oom.group")


def about_kills_in(uid: str) -> Callable[[Seen], bool]:
    """Return a function that is true for an Event about a killed process of that pod."""
    return lambda seen: (seen.pod, seen.reason) == (uid, KILLED)


def pod_names(pods: Iterable[dict[str, Any]]) -> set[str]:
    """Return the names of the pods."""
    return {each["metadata"]["name"] for each in pods}
