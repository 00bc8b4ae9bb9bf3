# SPDX-License-Identifier: Apache-2.0
"""A cluster as users run it: the control plane on this machine, and one node in a guest."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.chart.helm import CHART, Helm, ensure_helm
from tests.cluster.cluster import bare_cluster
from tests.cluster.kubernetes import kubernetes
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually
from tests.endtoend.guest import HOST, Role, booted
from tests.realnode import tunnel
from tests.realnode.control import running_control_plane
from tests.realnode.disk import PAUSE_IMAGE, ensure_disk
from tests.realnode.settings import NODE_NAME, files
from vmtest.errors import HarnessError
from vmtest.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.binaries import Binaries
    from tests.cluster.cluster import Cluster
    from tests.endtoend.guest import Guest
    from vmtest.image import Image

NAMESPACE: Final = "oompolicy-system"
AGENTS: Final = "app.kubernetes.io/component=agent"
"""The label of the agents' pods."""
MEMORY_MIB: Final = 1536
SLOW_SECONDS: Final = 600.0
"""The time limit for each step of an emulated node, which compiles a module and starts Python programs."""


class RealCluster:
    """A running cluster. Callers use `kubectl`, `helm` and `guest`. `helm` has the rights of an admin."""

    def __init__(self, cluster: Cluster, guest: Guest, helm: Helm) -> None:
        self.cluster, self.guest = cluster, guest
        self.api, self.kubectl = cluster.api, cluster.kubectl
        self._helm = helm

    def start(self) -> None:
        """Turn the guest into a node, and return when the scheduler may use it."""
        users = {"kubelet": (f"system:node:{NODE_NAME}", "system:nodes"), "kube-proxy": ("system:kube-proxy", None)}
        # The guest has another address for this machine.
        texts = {
            name: self.cluster.certified(user, group).read_text().replace("127.0.0.1", HOST)
            for name, (user, group) in users.items()
        }
        with step("node: booting"):
            self.guest.order("prepare", files=files(texts, self.cluster.ca.read_text(), PAUSE_IMAGE))
        with step("node: containerd, with our images"):
            self.guest.order("start_runtime", SLOW_SECONDS)
        with step("node: kubelet"):
            self.guest.order("start_kubelet", SLOW_SECONDS)
            self.kubectl("wait", "--for=condition=Ready", "--timeout=110s", "node", NODE_NAME)

    def helm(self, *words: str) -> str:
        return self._helm(*words, "--namespace", NAMESPACE, "--kubeconfig", str(self.cluster.admin))

    def install(self, *words: str) -> None:
        """Install the chart as docs/install.md says, and return when the agent's pod is ready."""
        self.kubectl("apply", "--filename=deploy/namespace.yaml")
        self.helm("install", "oompolicy", str(CHART), *words)
        self.await_agent()

    def await_agent(self) -> None:
        """Wait until the DaemonSet is rolled out, and its OOMNode reports that the node is ready."""
        eventually(self.rolled_out, bool, deadline=SLOW_SECONDS)
        eventually(self.ready, bool, deadline=SLOW_SECONDS)

    def rolled_out(self) -> bool:
        """Return True if the DaemonSet's controller has processed the last change, and the new pod is ready."""
        daemonset = self.api.get("DaemonSet", "oompolicy-agent", NAMESPACE)
        status = daemonset.get("status", {})
        seen = status.get("observedGeneration") == daemonset["metadata"]["generation"]
        counts = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        return seen and {1} == {status.get(each) for each in counts}

    def ready(self) -> bool:
        """Return True if the OOMNode reports that the programs are attached and have the mode of OOMSettings."""
        nodes = self.api.list("OOMNode")
        conditions = [each for node in nodes for each in node.get("status", {}).get("conditions", [])]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition of the node, or nothing while the node does not report it."""
        conditions = self.api.get("OOMNode", NODE_NAME).get("status", {}).get("conditions", [])
        found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
        return found.get(kind, ("", ""))

    def mode(self) -> str:
        """Return the mode that the node reports, or nothing before its first report."""
        return str(self.api.get("OOMNode", NODE_NAME).get("status", {}).get("mode", ""))

    def set_settings(self, wanted: str, **spec: Any) -> None:  # noqa: ANN401 (as JSON has it)
        """Change OOMSettings with the command of docs/enforce.md, and wait until the node reports the wanted mode."""
        patch = json.dumps({"spec": spec})
        self.kubectl("patch", "ooms", "cluster", "--type=merge", f"--patch={patch}")
        eventually(self.mode, lambda found: found == wanted, deadline=60)

    def logs(self) -> dict[str, str]:
        """Return the logs of all programs for the report of a failure."""
        texts = {"the API server": self.cluster.apiserver.tail(), "the guest's program": self.guest.output_tail()}
        with contextlib.suppress(HarnessError):
            texts |= self.guest.order("tails")
            texts["the guest's kernel"] = self.guest.order("shell", script="dmesg | tail -n 100")
        texts["pods"] = self.kubectl("get", "pods", "--all-namespaces", "--output=wide")
        return texts


@contextlib.contextmanager
def real_cluster(
    binaries: Binaries, folder: Path, deadline: float | None, memory: int = MEMORY_MIB
) -> Iterator[RealCluster]:
    """Run a cluster with a ready node of `memory` MiB. After `deadline` seconds the guest counts as lost."""
    helm = Helm(ensure_helm(), folder / "helm")
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        role = Role("tests.realnode.node", memory, lambda _: {}, node_disk, {port: tunnel.PORT})
        guest = stack.enter_context(booted(folder, deadline, role))
        (folder / "cluster").mkdir()
        egress = folder / "egress.json"
        egress.write_text(json.dumps(tunnel.egress(folder / "egress.sock")))
        stack.enter_context(tunnel.listen_for_api(folder / "egress.sock", port))
        cluster = stack.enter_context(bare_cluster(binaries, folder / "cluster", egress=egress))
        stack.enter_context(running_control_plane(cluster, kubernetes().folder))
        found = RealCluster(cluster, guest, helm)
        found.start()
        yield found


def node_disk(image: Image) -> dict[str, Path]:
    """Return the guest's disks."""
    return {"node": ensure_disk(image)}
