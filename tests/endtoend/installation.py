# SPDX-License-Identifier: Apache-2.0
"""The actions of an admin, the scheduler and the guest's kubelet: the agent's surroundings at the API server."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.cluster.deployment import NAMESPACE, Deployment
from tests.cluster.operators import Operator
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually
from tests.endtoend.eventlog import EventLog
from tests.endtoend.guest import HOST
from tests.node.kubelet import NODE_NAME, RESOURCES, Pod
from tests.unit.policy.factories import raw_settings
from vmtest.errors import HarnessError
from vmtest.progress import last_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.cluster.cluster import Cluster
    from tests.endtoend.guest import Guest

AGENT: Final = "oompolicy-agent"
LOG_LINES: Final = 40
READY_SECONDS: Final = 90.0
"""The time limit for a ready agent. Under emulation the agent imports for some seconds, and lists its objects."""


class Installation:
    """One cluster with one node, which is the guest. `agent_pod` exists when `install` has returned."""

    agent_pod: Pod

    def __init__(self, cluster: Cluster, guest: Guest, folder: Path, operator_port: int) -> None:
        self.cluster, self.guest = cluster, guest
        self.api, self.kubectl = cluster.api, cluster.kubectl
        self.events = EventLog(cluster.api.connection)
        self.operator: Operator | None = None
        self._folder, self._operator_port = folder, operator_port

    def install(self) -> None:
        """Apply `deploy/`, register the node, start operator, loader and agent. Return when policies are enforced."""
        self.register()
        self.attach()
        self.start_agent()
        self.await_status()

    def attach(self) -> None:
        """Run the loader in the guest, as the init container of the agent's pod does."""
        self.agent_pod = self.run_agent_pod()
        self.guest.order("attach")

    def register(self) -> None:
        """Do everything that does not need the guest, so that the guest can boot at the same time."""
        self.events.start()
        Deployment(self.cluster).apply()
        # The tests check which pod was spared, and it is in another namespace.
        self.api.create(raw_settings({"mode": "Enforce", "discloseOtherNamespaces": True}))
        self.api.node(NODE_NAME)
        self.start_operator()

    def start_operator(self) -> None:
        """Start the operator, and wait until it leads and the node has an OOMNode."""
        kubeconfig = Deployment(self.cluster).operator_kubeconfig()
        self.operator = Operator(kubeconfig, "operator", self._operator_port, self._folder)
        self.operator.until_leading()
        eventually(lambda: [each["metadata"]["name"] for each in self.api.list("OOMNode")], lambda n: n == [NODE_NAME])

    def stop_operator(self) -> None:
        """End the operator with SIGTERM, so that the next one does not wait for its Lease."""
        if self.operator:
            self.operator.terminate()
            self.operator = None

    def run_agent_pod(self) -> Pod:
        """Run the DaemonSet's pod on the node. It is Guaranteed, as an agent's pod should be."""
        return self.run_pods([Pod(AGENT, NAMESPACE, "Guaranteed", ("agent",))], service_account=AGENT)[0]

    def start_agent(self) -> None:
        """Start the agent with a token of its pod, and wait until it is ready."""
        self.launch_agent()
        eventually(lambda: self.guest.order("agent_ready"), lambda answer: answer[0] == 200, deadline=READY_SECONDS)

    def launch_agent(self) -> None:
        """Start the agent, also without an API server."""
        pod = {"metadata": {"name": self.agent_pod.name, "uid": self.agent_pod.uid}}
        if self.cluster.apiserver.running:
            self._token = self.api.token(NAMESPACE, AGENT, pod)
        self.guest.order(
            "start_agent",
            uid=self.agent_pod.uid,
            server=[HOST, urlsplit(self.cluster.url).port],
            ca=self.cluster.ca.read_text(),
            token=self._token,
            arguments=["--node", NODE_NAME, "--impersonate-node"],
        )

    def recover(self) -> None:
        """Start the parts that are not running."""
        if not self.cluster.apiserver.running:
            self.cluster.start_api()
        # The operator ends by itself when it cannot reach the API server for longer than the duration of its Lease.
        if self.operator is None or self.operator.process.poll() is not None:
            self.start_operator()
        if not self.guest.order("agent_alive"):
            self.start_agent()

    def run_pods(self, pods: Iterable[Pod], **words: Any) -> list[Pod]:  # noqa: ANN401 (the options of objects.pod)
        """Bind pods to the node, make their cgroups, and report their containers, as scheduler and kubelet do."""
        running = [self._bind(pod, words) for pod in pods]
        self.guest.order("start_pods", pods=[vars(pod) for pod in running])
        for pod in running:
            found = {"metadata": {"namespace": pod.namespace, "name": pod.name}}
            self.api.run(found, {name: pod.container_id(name) for name in pod.containers})
        return running

    def end_pods(self, pods: Iterable[Pod]) -> None:
        """Kill the processes of the pods, and remove their cgroups and then the objects."""
        ending = list(pods)
        self.guest.order("end_pods", uids=[pod.uid for pod in ending])
        for pod in ending:
            self.api.delete("Pod", pod.name, pod.namespace)

    def label(self, pod: Pod, labels: Mapping[str, str | None]) -> None:
        self.api.patch("Pod", pod.name, {"metadata": {"labels": labels}}, namespace=pod.namespace)

    def annotate(self, pod: Pod, annotations: Mapping[str, str | None]) -> None:
        self.api.patch("Pod", pod.name, {"metadata": {"annotations": annotations}}, namespace=pod.namespace)

    def await_priority(self, pod: Pod, wanted: int, container: str = "app", seconds: float = 30.0) -> None:
        """Wait until the map in the guest has the priority. The AssertionError has the value in the map."""
        words: dict[str, Any] = {"uid": pod.uid, "container": container}
        if not self.guest.order("await_priority", **words, wanted=wanted, patience=seconds):
            found = self.guest.order("priority", **words)
            raise AssertionError(f"{pod.name}: priority {found} in the map, not {wanted} within {seconds:.0f} s")

    def await_checkpoint(self, *pods: Pod) -> None:
        """Wait until the agent's checkpoint has the pods and their containers, for its next start."""
        # Only the objects count: the checkpoint also has the names of cgroups, which have the ids earlier.
        wanted = {pod.container_id(name) for pod in pods for name in pod.containers}
        eventually(
            lambda: self.guest.order("agent_checkpoint"),
            lambda text: all(each in json.dumps(json.loads(text)["objects"]) for each in wanted),
        )

    def await_status(self) -> None:
        """Wait until the OOMNode reports that the agent enforces, some seconds after the agent's start."""
        eventually(lambda: self.condition("Enforcing"), lambda status: status == "True")

    def condition(self, kind: str) -> str:
        """Return one condition of the OOMNode: True, False, Unknown, or empty while there is none."""
        conditions = self.api.get("OOMNode", NODE_NAME).get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "")

    def logs(self) -> dict[str, str]:
        """Return the logs of all programs for the report of a failure."""
        texts = {"the guest's program": self.guest.output_tail(), "the API server": self.cluster.apiserver.tail()}
        if self.operator:
            texts["the operator"] = last_lines(self.operator.log, LOG_LINES)
        try:
            texts["the agent"] = self.guest.order("agent_log")
            texts["the guest's kernel"] = self.guest.order("kernel_log")
        except (HarnessError, OSError) as error:
            texts["the guest"] = f"does not answer: {error}"
        return texts

    def _bind(self, pod: Pod, words: Mapping[str, Any]) -> Pod:
        created = self.api.pod(
            pod.namespace,
            pod.name,
            node=NODE_NAME,
            labels=pod.labels,
            annotations=pod.annotations,
            containers=pod.containers,
            **RESOURCES[pod.qos],
            **words,
        )
        return Pod(**{**vars(pod), "uid": created["metadata"]["uid"]})


@contextlib.contextmanager
def installation(cluster: Cluster, guest: Guest, folder: Path) -> Iterator[Installation]:
    """Yield an Installation with nothing installed. The end of the block stops it, but not cluster and guest."""
    with reserved_port() as port:
        found = Installation(cluster, guest, folder, port)
        try:
            yield found
        finally:
            found.stop_operator()
            found.events.stop()
