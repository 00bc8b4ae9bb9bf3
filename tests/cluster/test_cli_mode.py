# SPDX-License-Identifier: Apache-2.0
"""`oompolicy mode` changes OOMSettings after it has shown what changes, and `order` says why it has no answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.cliscene import build, settings
from tests.cluster.objects import pod
from tests.cluster.waiting import eventually
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

    Cli = Callable[..., subprocess.CompletedProcess[str]]

AGENT_LABELS = {"app.kubernetes.io/name": "oompolicy", "app.kubernetes.io/component": "agent"}
ROLE = re.search(r"```yaml\n(.*?kind: Role\n.*?)```", (CHECKOUT / "docs/cli.md").read_text(), re.DOTALL)
"""The role of docs/cli.md, in which the namespace is another one than that of the test."""


BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "oompolicy-order"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "oompolicy-order"},
    "subjects": [{"kind": "User", "name": "curious"}],
}


def run(kubeconfig: Path, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (CHECKOUT / "operator", CHECKOUT / "agent")))
    done = subprocess.run(
        [sys.executable, "-m", "oompolicy", *words],
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": path},
        input=answer, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    print(done.stdout[:4000], done.stderr)  # pytest shows this with a failure
    return done


@pytest.fixture
def cli(cluster: Cluster) -> Cli:
    return lambda *words, answer="": run(cluster.admin, *words, answer=answer)


@pytest.fixture
def scene(api: Api) -> Api:
    """Nodes a and b with OOMNodes, of which b has a label, and OOMSettings in the mode Audit."""
    build(api)
    api.patch("Node", "node-b", {"metadata": {"labels": {"pool": "canary"}}})
    settings(api, "Audit")
    return api


def run_agent(api: Api, namespace: str) -> None:
    """Create the pod of an agent, with the status that a kubelet would write."""
    api.namespace(namespace)
    api.create(pod(namespace, "agent-a", node="node-a", labels=AGENT_LABELS))
    api.patch("Pod", "agent-a", {"status": {"phase": "Running"}}, namespace=namespace, subresource="/status")


def spec(api: Api) -> dict[str, Any]:
    return dict(api.get("OOMSettings", "cluster")["spec"])


@pytest.mark.usefixtures("scene")
def test_mode_shows_what_decides_about_each_node(cli: Cli) -> None:
    """The agents have not changed their mode yet. `-l` selects nodes."""
    done = cli("mode")

    assert (0, "") == (done.returncode, done.stderr)
    assert "OOMSettings cluster: mode Audit" == done.stdout.splitlines()[0]
    assert ["node-a", "Enforce", "Audit", "mode", "of", "OOMSettings"] == done.stdout.splitlines()[2].split()
    assert ["node-b"] == [line.split()[0] for line in cli("mode", "-l", "pool=canary").stdout.splitlines()[2:]]


def test_a_change_needs_a_yes(cli: Cli, scene: Api) -> None:
    """The nodes that get another mode are shown before. Any other answer, and none at all, changes nothing."""
    for answer in ("n\n", ""):
        done = cli("mode", "Enforce", answer=answer)
        assert done.returncode != 0
        assert ["node-a", "Audit", "Enforce"] == done.stdout.splitlines()[1].split()
        assert "Audit" == spec(scene)["mode"]
    assert 0 == cli("mode", "Enforce", answer="y\n").returncode
    assert "Enforce" == spec(scene)["mode"]
    assert 0 == cli("mode", "Off", "--yes").returncode
    assert "Off" == spec(scene)["mode"]


def test_a_selector_puts_an_entry_first(cli: Cli, scene: Api) -> None:
    """The second command replaces the entry of the first. A selector without a node is no error."""
    assert "node-b" in cli("mode", "Enforce", "-l", "pool=canary", "--yes").stdout
    assert 0 == cli("mode", "Off", "-l", "!pool", "--yes").returncode
    assert 0 == cli("mode", "Audit", "-l", "pool in (canary)", "--yes").returncode
    entries = spec(scene)["nodeModes"]

    assert ["Audit", "Off"] == [each["mode"] for each in entries]
    assert {"matchLabels": {"pool": "canary"}} == entries[0]["nodeSelector"]
    assert "No node has these labels now." in cli("mode", "Enforce", "-l", "pool=gone", "--yes").stdout
    assert 3 == len(spec(scene)["nodeModes"])


def test_the_kill_switch_is_one_command(cli: Cli, scene: Api) -> None:
    """resume ends it. It is for every node, so a selector is wrong usage."""
    assert 0 == cli("mode", "suspend", "--yes").returncode
    assert spec(scene)["suspend"]
    assert "suspend of OOMSettings" in cli("mode").stdout
    assert "stays in mode Off until you run: oompolicy mode resume" in cli("mode", "Enforce", "--yes").stdout
    assert 0 == cli("mode", "resume", "--yes").returncode
    assert not spec(scene)["suspend"]
    assert 2 == cli("mode", "suspend", "-l", "pool=canary").returncode


def test_without_settings_the_message_says_how_to_get_them(api: Api, cli: Cli) -> None:
    assert api
    done = cli("mode", "Enforce", "--yes")

    assert (1, True) == (done.returncode, done.stderr.startswith("Error: no OOMSettings exists: "))


def test_order_says_why_there_is_no_answer(cli: Cli, scene: Api) -> None:
    """A node without an agent, several nodes, and an agent whose kubelet cannot be reached are one sentence each."""
    several, missing = cli("order"), cli("order", "node-a", "-n", "agents")
    run_agent(scene, "agents")
    unreachable = cli("order", "node-a", "-n", "agents")
    lost = cli("order", "--scope", "pod/shop/gone")

    assert (2, True) == (several.returncode, "name one of the 2 nodes: node-a, node-b" in several.stderr)
    assert (1, True) == (missing.returncode, "no agent runs on node node-a in namespace" in missing.stderr)
    assert (1, True) == (unreachable.returncode, "pod agents/agent-a" in unreachable.stderr)
    assert (1, "Error: pod shop/gone does not exist\n") == (lost.returncode, lost.stderr)
    assert all("Traceback" not in each.stderr for each in (several, missing, unreachable, lost))


def test_the_api_server_decides_who_may_ask_an_agent(cluster: Cluster, scene: Api) -> None:
    """The role of the page suffices, and without the rule for pods/portforward the API server refuses.

    Nothing but the kubelet is missing then, because these tests have none.
    """
    run_agent(scene, "others")
    assert ROLE
    role = {**yaml.safe_load(ROLE[1]), "metadata": {"name": "oompolicy-order", "namespace": "others"}}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/others"
    user = cluster.certified("curious")
    scene.connection.request("POST", f"{roles}/roles", body={**role, "rules": role["rules"][:1]})
    scene.connection.request("POST", f"{roles}/rolebindings", body=BINDING)
    refused = run(user, "order", "node-a", "-n", "others")
    scene.connection.request("PUT", f"{roles}/roles/oompolicy-order", body=role)
    allowed = eventually(
        lambda: run(user, "order", "node-a", "-n", "others"), lambda done: "pods/portforward" not in done.stderr
    )

    assert 1 == refused.returncode
    assert "port-forward to pod others/agent-a failed: " in refused.stderr
    assert 'cannot get resource "pods/portforward"' in refused.stderr
    assert "curious" in refused.stderr
    assert "pod others/agent-a failed: no preferred addresses found" in allowed.stderr
