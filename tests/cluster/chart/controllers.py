# SPDX-License-Identifier: Apache-2.0
"""Play the controllers and kubelets that a release waits for: no such program runs beside the API server here.

Each DaemonSet gets a pod on each node and a status, and its pods are deleted with it. Jobs and Helm's test pods run as
processes with their service account. `journal` lists the events in order, and `words` has the output of the processes.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from oompolicy.kube.errors import ApiError
from tests.cluster.objects import location, pod
from tests.cluster.waiting import LOOK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.cluster.cluster import Cluster

NOW = "2026-11-25T12:00:00Z"
# The last log line of a container, which the kubelet reports with terminationMessagePolicy FallbackToLogsOnError.
REFUSAL = "oompolicy-loader: oompolicy_hook stays loaded: it is in use"


class Controllers:
    """A thread that plays all controllers. The init container of a new pod fails on the nodes in `stuck`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.stuck: set[str] = set()
        self.journal: list[str] = []
        self.words: dict[str, str] = {}
        self._api, self._cluster, self._namespace = cluster.api, cluster, namespace
        self._ending = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, name="controllers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]

    def _work(self) -> None:
        try:
            while not self._ending.wait(LOOK_SECONDS):
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the thread's end; raised again by __exit__
            self._failed.append(error)

    def _turn(self) -> None:
        self._tend_all()
        for job in self._api.list("Job", self._namespace):
            if not job.get("status", {}).get("conditions") and "deletionTimestamp" not in job["metadata"]:
                self._finish_job(job, self._run(job["metadata"]["name"], job["spec"]["template"]["spec"]))
        for each in self._api.list("Pod", self._namespace):
            name = each["metadata"]["name"]
            run = {"oompolicy-test": self._run, "oompolicy-preflight": self._preflight}.get(name)
            if run and each["status"]["phase"] == "Pending":
                succeeded = run(name, each["spec"])
                self._patch("Pod", each, {"phase": "Succeeded" if succeeded else "Failed"})

    def _tend_all(self) -> None:
        """Do the work of the garbage collector and of the DaemonSet controller once."""
        daemonsets = self._api.list("DaemonSet", self._namespace)
        owners = {each["metadata"]["uid"] for each in daemonsets}
        for each in self._api.list("Pod", self._namespace):
            references = each["metadata"].get("ownerReferences", ())
            if references and owners.isdisjoint(owner["uid"] for owner in references):
                with already_gone():
                    self._api.delete("Pod", each["metadata"]["name"], self._namespace)
        for daemonset in daemonsets:
            self._tend(daemonset)

    def _tend(self, daemonset: dict[str, Any]) -> None:
        name = daemonset["metadata"]["name"]
        pods = [each for each in self._api.list("Pod", self._namespace) if owned_by(daemonset, each)]
        if "deletionTimestamp" in daemonset["metadata"]:
            for each in pods:
                with already_gone():
                    self._api.delete("Pod", each["metadata"]["name"], self._namespace)
            self.journal.append(f"{name} deleted")
            with already_gone():
                self._api.patch("DaemonSet", name, {"metadata": {"finalizers": None}}, namespace=self._namespace)
            return
        nodes = {each["metadata"]["name"] for each in self._api.list("Node")}
        for node in sorted(nodes - {each["spec"]["nodeName"] for each in pods}):
            self._start(daemonset, node)
        self._report(daemonset, len(nodes), len(nodes - self.stuck))

    def _start(self, daemonset: dict[str, Any], node: str) -> None:
        name = daemonset["metadata"]["name"]
        spec = daemonset["spec"]["template"]
        body = pod(self._namespace, f"{name}-{node}", node=node, labels=spec["metadata"]["labels"])
        body["spec"] = {**spec["spec"], "nodeName": node}
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": daemonset["metadata"]["uid"]}
        body["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
        made = self._api.create(body)
        self.journal.append(f"{name} on {node}")
        self._patch("Pod", made, stuck() if node in self.stuck else ready())

    def _report(self, daemonset: dict[str, Any], wanted: int, ready: int) -> None:
        status = {
            "observedGeneration": daemonset["metadata"]["generation"],
            **dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled"), wanted),
            **dict.fromkeys(("numberReady", "numberAvailable"), ready),
            "numberMisscheduled": 0,
        }
        self._patch("DaemonSet", daemonset, status)

    def _run(self, name: str, spec: dict[str, Any]) -> bool:
        (container,) = spec["containers"]
        kubeconfig = self._cluster.kubeconfig(self._namespace, spec["serviceAccountName"])
        program = [sys.executable, "-m", "oompolicy.release"]
        assert ["oompolicy-release"] == container["command"]
        place = ["--kubeconfig", str(kubeconfig), "--namespace", self._namespace]
        with subprocess.Popen(
            [*program, *container["args"], *place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            # The process waits for pods that start or end in this loop.
            while process.poll() is None:
                self._tend_all()
                time.sleep(LOOK_SECONDS)
            self.words[name] = process.stdout.read() if process.stdout else ""
        self.journal.append(f"{name} {'done' if process.returncode == 0 else 'failed'}")
        return process.returncode == 0

    def _preflight(self, name: str, spec: dict[str, Any]) -> bool:
        """Run the loader of this checkout with the arguments of the pod, whose folders do not exist here."""
        (container,) = spec["containers"]
        assert ["oompolicy-loader"] == container["command"]
        program = [sys.executable, "-m", "oompolicy_agent.loader", *container["args"]]
        done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.words[name] = done.stdout
        self.journal.append(f"{name} {'done' if done.returncode == 0 else 'failed'}")
        return done.returncode == 0

    def _finish_job(self, job: dict[str, Any], succeeded: bool) -> None:
        kinds = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": NOW} for kind in kinds]
        counted = {"succeeded": 1, "completionTime": NOW} if succeeded else {"failed": 1}
        self._patch("Job", job, {"startTime": NOW, "conditions": conditions, **counted})

    def _patch(self, kind: str, obj: dict[str, Any], status: dict[str, Any]) -> None:
        path = location(kind, obj["metadata"]["name"], self._namespace) + "/status"
        content = "application/merge-patch+json"
        with already_gone():
            self._api.connection.request("PATCH", path, body={"status": status}, content_type=content)


@contextlib.contextmanager
def already_gone() -> Iterator[None]:
    """Ignore that an object does not exist: helm, or the end of a test, may delete it at the same time."""
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise


def owned_by(daemonset: dict[str, Any], each: dict[str, Any]) -> bool:
    """Return True if the DaemonSet owns this pod."""
    return daemonset["metadata"]["uid"] in {owner["uid"] for owner in each["metadata"].get("ownerReferences", ())}


def ready() -> dict[str, Any]:
    """Return the status of a pod that runs."""
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def stuck() -> dict[str, Any]:
    """Return the status of a pod with a failing init container."""
    ended = {"exitCode": 1, "reason": "Error", "message": f"{REFUSAL}\n"}
    return {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "initContainerStatuses": [
            {
                "name": "detach",
                "image": "",
                "imageID": "",
                "ready": False,
                "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
                "lastState": {"terminated": ended},
            }
        ],
    }
