# SPDX-License-Identifier: Apache-2.0
"""The objects that one test puts on the node and removes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.cleanup import finish
from tests.cluster.objects import collection
from tests.cluster.waiting import eventually
from tests.node.kubelet import Pod, policy_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.endtoend.eventlog import Seen
    from tests.endtoend.installation import Installation

KILLED = "OOMVictimKilled"
REFUSED = "OOMAnnotationRefused"


class Scene:
    """Namespaces, policies and pods of one test.

    `killed` has the pids of all processes of its pods that the kernel killed.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation, self.api, self.guest = installation, installation.api, installation.guest
        self.pods: list[Pod] = []
        self.killed: list[int] = []
        self._namespaces: list[str] = []

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self.api.namespace(name, labels)
        self.adopt(name)

    def adopt(self, *namespaces: str) -> None:
        """Remove these namespaces at the end of the scene."""
        self._namespaces += namespaces

    def apply(self, *files: str) -> None:
        """Apply the files with kubectl, as a user does."""
        self.installation.kubectl("apply", *(f"--filename={file}" for file in files))

    def policy(self, name: str, **spec: Any) -> None:  # noqa: ANN401 (as YAML has it)
        self.api.create(policy_manifest(name, **spec))

    def pod(self, namespace: str, name: str, qos: str = "Burstable", **fields: Any) -> Pod:  # noqa: ANN401 (Pod's)
        """Run one pod with one container `app`, unless `containers` has other names."""
        return self.run_pods(Pod(name, namespace, qos, **fields))[0]

    def run_pods(self, *pods: Pod) -> list[Pod]:
        running = self.installation.run_pods(pods)
        self.pods += running
        return running

    def start(self, pod: Pod, mib: int, container: str = "app") -> int:
        """Start the container's process unless it lives, and return its pid."""
        return int(self.guest.order("run", uid=pod.uid, container=container, mib=mib))

    def first_victim(self, order: str, **words: Any) -> str | None:  # noqa: ANN401 (JSON)
        """Use up memory by the guest's `exhaust_node`, `exhaust_pods` or `overrun`, and return the pod that dies first.

        The kernel may kill a second process for the same shortage, also one outside the pods (`run_out_of_memory` in
        tests/node/hog.py). None if the first victim is not of a pod, or if no process died.
        """
        names = {pod.uid: pod.name for pod in self.pods}
        dead = self.guest.order(order, **words)
        self.killed += [victim["pid"] for victim in dead if victim["uid"] in names]
        return names.get(dead[0]["uid"]) if dead else None

    def event(self, pod: Pod, reason: str) -> Seen:
        """Return the first Event with that reason on the pod."""
        return self.installation.events.wait(
            f"{reason} on {pod.name}", lambda seen: (seen.pod, seen.reason) == (pod.uid, reason)
        )

    def event_of(self, pid: int) -> Seen:
        """Return the Event that reports the kill of this process."""
        return self.installation.events.wait(
            f"{KILLED} of {pid}", lambda seen: seen.reason == KILLED and seen.pid == pid
        )

    def kills(self, *, seconds: float) -> list[Seen]:
        """Return the Events about kills in this scene when they stand for all kills, or when the time is over."""
        uids = {pod.uid for pod in self.pods}
        return self.installation.events.wait_for_sum(
            lambda seen: seen.reason == KILLED and seen.pod in uids, len(self.killed), seconds=seconds
        )

    def printed(self, *words: str, wanted: str) -> str:
        """Return kubectl's output when it is the wanted one, or fail after the time limit of `eventually`."""
        return eventually(lambda: self.installation.kubectl(*words).strip(), lambda text: text == wanted)

    def clear(self) -> None:
        """Restart the parts that the test has stopped, and remove the objects that it has made."""
        self.installation.recover()
        self.installation.end_pods(self.pods)
        self.api.connection.request("DELETE", collection("OOMPolicy"))
        for name in self._namespaces:
            # No controller empties a namespace here.
            self.api.connection.request("DELETE", collection("Event", name))
            finish(self.api, name)
