# SPDX-License-Identifier: Apache-2.0
"""The command line answers from a real API server, also to a user who may read one namespace only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.cluster import objects as benchmark
from tests.cluster.cliscene import HOOK, NO_HOOK, build, facts, kill, policy
from tests.cluster.kubelet import answering
from tests.cluster.objects import pod
from tests.unit.policy.factories import raw_settings
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

    Cli = Callable[..., subprocess.CompletedProcess[str]]

PODS = 2000
GOAL = 2.0
"""Seconds of processor time for the answer about all pods."""
RIGHTS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "reader"},
    "rules": [
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["get", "list"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["list"]},
        {"apiGroups": ["oompolicy.dev"], "resources": ["oompolicies"], "verbs": ["list"]},
    ],
}


def run(kubeconfig: Path | str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a kubeconfig of the environment, as a user does."""
    path = os.pathsep.join(map(str, (CHECKOUT / "operator", CHECKOUT / "agent")))
    return subprocess.run(
        [sys.executable, "-m", "oompolicy", *words],
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": path, "COLUMNS": "100"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def cli(cluster: Cluster) -> Cli:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        done = run(cluster.admin, *words)
        print(done.stdout[:4000], done.stderr)  # pytest shows this with a failure
        return done

    return call


@pytest.fixture
def scene(api: Api) -> Api:
    build(api)
    return api


@pytest.mark.usefixtures("scene")
def test_nodes_shows_which_nodes_enforce_and_why_others_do_not(cli: Cli) -> None:
    """A Node without an OOMNode is in the list too."""
    found = {each["node"]: each for each in json.loads(cli("nodes", "-o", "json").stdout)}

    assert ("True", None) == (found["node-a"]["enforcing"], found["node-a"]["why"])
    assert ("False", f"ObserveOnly: {NO_HOOK}") == (found["node-b"]["enforcing"], found["node-b"]["why"])
    assert found["node-c"]["why"].startswith("NoOOMNode: ")
    lines = cli("nodes").stdout.splitlines()
    assert ["NODE", "MODE", "BACKEND", "ENFORCING", "SEEN", "WHY"] == lines[0].split()
    assert ["oomnode/node-a", "oomnode/node-b", "oomnode/node-c"] == cli("nodes", "-o", "name").stdout.splitlines()


@pytest.mark.usefixtures("scene")
def test_preflight_says_what_each_node_can_do_and_why(cli: Cli) -> None:
    """A node can be named, and a misspelt one gets a suggestion."""
    found = {each["node"]: each for each in json.loads(cli("preflight", "-o", "json").stdout)}

    assert ("exact", HOOK) == (found["node-a"]["order"], found["node-a"]["because"])
    assert ("observes", NO_HOOK) == (found["node-b"]["order"], found["node-b"]["because"])
    assert ("unknown", True) == (found["node-c"]["order"], found["node-c"]["because"].startswith("NoOOMNode: "))
    assert "oomnode/node-b\n" == cli("preflight", "node-b", "-o", "name").stdout
    wrong = cli("preflight", "nod-b")
    assert (1, "") == (wrong.returncode, wrong.stdout)
    assert wrong.stderr.startswith("Error: node nod-b does not exist. Did you mean node-b")


def test_victims_come_from_events_and_from_oomnodes(cli: Cli, scene: Api) -> None:
    """`--since` and `-n` select among both."""
    kill(scene, 90)
    kill(scene, 5)

    def processes(*flags: str) -> list[tuple[str, str]]:
        found = json.loads(cli("victims", "-o", "json", *flags).stdout)
        return [(each["node"], each["process"]) for each in found]

    assert [("node-a", "node")] == processes("--since", "1h")
    assert [("node-a", "node")] * 2 == processes()
    old = [("node-a", "old"), ("node-b", "old")]
    assert [*old, *[("node-a", "node")] * 2] == processes("--since", "48h")
    assert [("node-a", "node")] * 2 == processes("--since", "48h", "-n", "shop")
    assert "killed no process in namespace default in this time" in cli("victims", "-n", "default").stdout


def test_explain_shows_policies_refusal_node_and_victims(cli: Cli, scene: Api) -> None:
    """The data has all policies, and the table those that match or nearly do."""
    kill(scene, 5)
    found = json.loads(cli("explain", "web-0", "-n", "shop", "-o", "json").stdout)
    results = {each["name"]: (each["result"], each["why"]) for each in found["policies"]}

    assert ("web", 300, [300]) == (found["policy"], found["priority"], [c["priority"] for c in found["containers"]])
    assert ["oompolicy.dev/priority"] == [each["annotation"] for each in found["refusals"]]
    assert ("applies", []) == results["web"]
    assert ("outranked", ["precedence 5 is lower than 10 of OOMPolicy web"]) == results["shop"]
    assert ("nearly", ["label app of the pod is 'web', not wbe"]) == results["web-prod"]
    assert ("differs", 2) == (results["test"][0], len(results["test"][1]))
    assert ("node-a", "EvaluateTask") == (found["nodeStatus"]["node"], found["nodeStatus"]["backend"])
    assert ["node"] == [each["process"] for each in found["victims"]]
    assert (None, [None]) == (found["heldIn"], [each["held"] for each in found["containers"]])
    assert found["heldProblem"] == (
        "no agent runs on node node-a in namespace oompolicy-system: "
        "run oompolicy nodes to see why, or name another namespace with --agents"
    )
    shown = cli("explain", "pod/web-0", "-n", "shop").stdout
    assert f"The priorities that the node holds are not known: {found['heldProblem']}\n" in shown
    assert "refused: annotation oompolicy.dev/priority" in shown
    assert "1 other policy does not match. To see why, add -o wide." in shown
    assert (
        "label app of the pod is 'web', not db; label env" in cli("explain", "web-0", "-n", "shop", "-o", "wide").stdout
    )


def test_explain_shows_the_priority_that_the_node_holds(cli: Cli, cluster: Cluster, scene: Api) -> None:
    """The answer of the agent comes through the port-forward of the API server, as for `order`."""
    with answering(scene, cluster.pki.authority, "node-a", facts(500)):
        found = json.loads(cli("explain", "web-0", "-n", "shop", "-o", "json").stdout)
        shown = cli("explain", "web-0", "-n", "shop").stdout
        elsewhere = cli("explain", "web-0", "-n", "shop", "--agents", "shop").stdout
        (ordered,) = json.loads(cli("order", "node-a", "-o", "json").stdout)["order"]

    late = "the agent has not seen the change yet"
    assert ("Entries", None) == (found["heldIn"], found["heldProblem"])
    assert [{"priority": 500, "score": None, "differs": late}] == [each["held"] for each in found["containers"]]
    assert f"app: held by the node: 500 (differs, {late})\n" in shown
    assert "are not known: no agent runs on node node-a in namespace shop: " in elsewhere
    assert ("web-0", 500) == (ordered["pod"], ordered["priority"])


@pytest.mark.usefixtures("scene")
def test_a_misspelt_pod_gets_a_suggestion(cli: Cli) -> None:
    """The names are those of the namespace."""
    done = cli("explain", "wbe-0", "-n", "shop")

    assert (1, "") == (done.returncode, done.stdout)
    assert "Error: pod shop/wbe-0 does not exist. Did you mean web-0?\n" == done.stderr


def test_a_user_of_one_namespace_sees_what_the_user_may_read(cluster: Cluster, scene: Api) -> None:
    """Without a right to OOMNodes and OOMSettings, the rest is shown, and a sentence says what is missing."""
    kill(scene, 5)
    user = cluster.certified("reader")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "User", "name": "reader"}],
    }
    paths = "/apis/rbac.authorization.k8s.io/v1"
    scene.create(RIGHTS)
    scene.connection.request("POST", f"{paths}/clusterrolebindings", body=binding)
    try:
        explained = run(user, "explain", "web-0", "-n", "shop", "-o", "json")
        victims = run(user, "victims", "-n", "shop", "-o", "name")
        nodes = run(user, "nodes")
    finally:
        scene.connection.request("DELETE", f"{paths}/clusterrolebindings/reader")
        scene.connection.request("DELETE", f"{paths}/clusterroles/reader")

    assert (0, 300) == (explained.returncode, json.loads(explained.stdout)["priority"])
    assert "cannot be read" in explained.stderr
    assert "The state of the node is unknown" in explained.stderr
    assert "Pods without a policy are shown with the built-in defaults" in explained.stderr
    assert (0, "pod/shop/web-0\n") == (victims.returncode, victims.stdout)
    assert (1, True) == (
        nodes.returncode,
        nodes.stderr.startswith("Error: /apis/oompolicy.dev/v1alpha1/oomnodes cannot"),
    )


def test_an_api_server_that_is_away_is_one_sentence(cluster: Cluster, cli: Cli) -> None:
    """No traceback, and the exit status of a problem."""
    cluster.stop_api()
    done = cli("nodes")

    assert 1 == done.returncode
    assert done.stderr.startswith("Error: /apis/oompolicy.dev/v1alpha1/oomnodes cannot be read: no answer from ")
    assert 1 == len(done.stderr.splitlines())


def test_a_context_names_cluster_and_namespace(cluster: Cluster, scene: Api, tmp_path: Path) -> None:
    """A list of files in KUBECONFIG is merged, as kubectl does, and missing files are ignored."""
    kill(scene, 5)
    other = json.loads(cluster.admin.read_text())
    other["contexts"] = [{"name": "shop", "context": {"cluster": "test", "user": "test", "namespace": "shop"}}]
    del other["current-context"]
    file = tmp_path / "shop.kubeconfig"
    file.write_text(json.dumps(other))
    listed = os.pathsep.join(map(str, (cluster.admin, tmp_path / "missing", file)))
    done = run(listed, "explain", "web-0", "--context", "shop", "-o", "name")

    assert (0, "pod/shop/web-0\n", "") == (done.returncode, done.stdout, done.stderr)
    wrong = run(cluster.admin, "explain", "web-0", "--context", "none")
    assert (1, True) == (wrong.returncode, "cannot be used" in wrong.stderr)


@pytest.mark.usefixtures("scene")
def test_resolve_reads_the_cluster(cli: Cli) -> None:
    """The result is that of the same objects in files."""
    done = cli("resolve", "--cluster", "-n", "shop", "-o", "wide")

    assert (0, "") == (done.returncode, done.stderr)
    assert ["shop", "web-0", "-", "300", "-", "node-a", "OOMPolicy"] == done.stdout.splitlines()[1].split()[:7]
    assert 2 == cli("resolve", "--cluster", "a.yaml").returncode


def test_the_defaults_are_those_of_the_cluster(cli: Cli, api: Api) -> None:
    """A pod without a policy has the default of OOMSettings, and the reason says so."""
    api.namespace("shop")
    api.create(pod("shop", "cron-0", node="node-a"))
    api.create(raw_settings({"mode": "Audit", "defaults": {"bestEffort": 150}}))
    reason = "default of OOMSettings for QoS class BestEffort"
    (resolved,) = json.loads(cli("resolve", "--cluster", "-n", "shop", "-o", "json").stdout)
    explained = json.loads(cli("explain", "cron-0", "-n", "shop", "-o", "json").stdout)

    assert {(150, reason)} == {(each["priority"], each["reason"]) for each in (resolved, explained)}


def test_two_thousand_pods_are_answered_within_two_seconds(api: Api, cli: Cli) -> None:
    """The pods have the size of real ones. The time is that of the processor, for the whole program.

    The time of the clock depends on the other work of this machine. The test prints it too.
    """
    for space in benchmark.namespaces(range(PODS // benchmark.PODS_PER_NAMESPACE)):
        api.namespace(space["metadata"]["name"], space["metadata"]["labels"])
    api.create(policy("low", 100, 1, podSelector={"matchLabels": {"app": "web"}}))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(partial(run_pod, api), benchmark.pods(range(PODS))))

    done, spent = timed(cli, "resolve", "--cluster", "-o", "wide")
    assert (0, PODS) == (done.returncode, done.stdout.count("\nteam-") // 2)
    assert spent <= GOAL
    done, spent = timed(cli, "explain", benchmark.pod_name(0), "-n", benchmark.namespace_name(0))
    assert (0, True) == (done.returncode, "applies" in done.stdout)
    assert spent <= GOAL
    done, spent = timed(cli, "explain", "wbe-7d4b9c6f58-000000", "-n", benchmark.namespace_name(0))
    assert f"Did you mean {benchmark.pod_name(0)}" in done.stderr
    assert spent <= GOAL


def run_pod(api: Api, raw: Mapping[str, Any]) -> None:
    """Create a pod, and report its status as its kubelet would."""
    created = api.create(raw)
    metadata, status = created["metadata"], {"status": raw["status"]}
    api.patch("Pod", metadata["name"], status, namespace=metadata["namespace"], subresource="/status")


def timed(cli: Cli, *words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command, and return the seconds of processor time too."""
    started, before = time.monotonic(), os.times()
    done = cli(*words)
    after, lasted = os.times(), time.monotonic() - started
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{words[0]} with {PODS} pods: {lasted:.2f} s, {spent:.2f} s of the processor")
    return done, spent
