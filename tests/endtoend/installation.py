# SPDX-License-Identifier: Apache-2.0
"""What an admin, the scheduler and the guest's kubelet do: everything around the agent, as the API server sees it."""

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
"""An emulated agent imports for some seconds, and lists what there is."""


class Installation:
    """One cluster with one node, the guest. `agent_pod` is there once `install` has returned."""

    agent_pod: Pod

    def __init__(self, cluster: Cluster, guest: Guest, folder: Path, operator_port: int) -> None:
        self.cluster, self.guest = cluster, guest
        self.api, self.kubectl = cluster.api, cluster.kubectl
        self.events = EventLog(cluster.api.connection)
        self.operator: Operator | None = None
        self._folder, self._operator_port = folder, operator_port

    def install(self) -> None:
        """Apply `deploy/`, register the node, start operator, loader and agent; return when policies are enforced."""
        self.register()
        self.attach()
        self.start_agent()
        self.await_status()

    def attach(self) -> None:
        """Run the loader in the guest, as the init container of the agent's pod does."""
        self.agent_pod = self.run_agent_pod()
        self.guest.order("attach")

    def register(self) -> None:
        """All that the guest has no part in, so that it may boot meanwhile."""
        self.events.start()
        Deployment(self.cluster).apply()
        self.api.node(NODE_NAME)
        self.start_operator()

    def start_operator(self) -> None:
        """Start it, and wait until it leads and the node has an OOMNode."""
        kubeconfig = Deployment(self.cluster).operator_kubeconfig()
        self.operator = Operator(kubeconfig, "operator", self._operator_port, self._folder)
        self.operator.until_leading()
        eventually(lambda: [each["metadata"]["name"] for each in self.api.list("OOMNode")], lambda n: n == [NODE_NAME])

    def stop_operator(self) -> None:
        """Let it end, so that the next one need not wait for its Lease."""
        if self.operator:
            self.operator.terminate()
            self.operator = None

    def run_agent_pod(self) -> Pod:
        """The DaemonSet's pod on the node; Guaranteed, as an agent's should be."""
        return self.run_pods([Pod(AGENT, NAMESPACE, "Guaranteed", ("agent",))], service_account=AGENT)[0]

    def start_agent(self) -> None:
        """Start it with a token of its pod, and wait until it is ready."""
        self.launch_agent()
        eventually(lambda: self.guest.order("agent_ready"), lambda answer: answer[0] == 200, deadline=READY_SECONDS)

    def launch_agent(self) -> None:
        """Start it, whether the API server is there or not."""
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
        """Start what is not running."""
        if not self.cluster.apiserver.running:
            self.cluster.start_api()
        # It ends by itself when the API server is away for longer than its Lease holds.
        if self.operator is None or self.operator.process.poll() is not None:
            self.start_operator()
        if not self.guest.order("agent_alive"):
            self.start_agent()

    def run_pods(self, pods: Iterable[Pod], **words: Any) -> list[Pod]:  # noqa: ANN401 (those of objects.pod)
        """Bind pods to the node, make their cgroups, and report their containers, as scheduler and kubelet do."""
        running = [self._bind(pod, words) for pod in pods]
        self.guest.order("start_pods", pods=[vars(pod) for pod in running])
        for pod in running:
            found = {"metadata": {"namespace": pod.namespace, "name": pod.name}}
            self.api.run(found, {name: pod.container_id(name) for name in pod.containers})
        return running

    def end_pods(self, pods: Iterable[Pod]) -> None:
        """Kill what runs in them, take their cgroups and then the objects away."""
        ending = list(pods)
        self.guest.order("end_pods", uids=[pod.uid for pod in ending])
        for pod in ending:
            self.api.delete("Pod", pod.name, pod.namespace)

    def label(self, pod: Pod, labels: Mapping[str, str | None]) -> None:
        self.api.patch("Pod", pod.name, {"metadata": {"labels": labels}}, namespace=pod.namespace)

    def annotate(self, pod: Pod, annotations: Mapping[str, str | None]) -> None:
        self.api.patch("Pod", pod.name, {"metadata": {"annotations": annotations}}, namespace=pod.namespace)

    def await_priority(self, pod: Pod, wanted: int, container: str = "app", seconds: float = 30.0) -> None:
        """Wait until the map in the guest has it; AssertionError with what it has instead."""
        words: dict[str, Any] = {"uid": pod.uid, "container": container}
        if not self.guest.order("await_priority", **words, wanted=wanted, patience=seconds):
            found = self.guest.order("priority", **words)
            raise AssertionError(f"{pod.name}: priority {found} in the map, not {wanted} within {seconds:.0f} s")

    def await_checkpoint(self, *pods: Pod) -> None:
        """Wait until the agent would know the pods and their containers after a restart."""
        # Of its objects: the names of cgroups, which it keeps too, have the ids before any object does.
        wanted = {pod.container_id(name) for pod in pods for name in pod.containers}
        eventually(
            lambda: self.guest.order("agent_checkpoint"),
            lambda text: all(each in json.dumps(json.loads(text)["objects"]) for each in wanted),
        )

    def await_status(self) -> None:
        """Wait until the agent has told the cluster that it enforces, which it does some seconds after its start."""
        eventually(lambda: self.condition("Enforcing"), lambda status: status == "True")

    def condition(self, kind: str) -> str:
        """One condition of the OOMNode: True, False, Unknown, or empty while there is none."""
        conditions = self.api.get("OOMNode", NODE_NAME).get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "")

    def logs(self) -> dict[str, str]:
        """What everybody said, for whoever looks into a failure."""
        texts = {"the guest's program": self.guest.said(), "the API server": self.cluster.apiserver.tail()}
        if self.operator:
            texts["the operator"] = last_lines(self.operator.log, LOG_LINES)
        try:
            texts["the agent"] = self.guest.order("agent_log")
            texts["the guest's kernel"] = self.guest.order("kernel_log")
        except (HarnessError, OSError) as error:
            texts["the guest"] = f"answers no more: {error}"
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
    """Install nothing yet; what is installed ends with the block, except for cluster and guest."""
    with reserved_port() as port:
        found = Installation(cluster, guest, folder, port)
        try:
            yield found
        finally:
            found.stop_operator()
            found.events.stop()
