# SPDX-License-Identifier: Apache-2.0
"""A real helm installs, upgrades, tests and uninstalls a release at a real API server."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import yaml

from oompolicy.kube.errors import ApiError
from tests.cluster.chart.controllers import REFUSAL
from tests.cluster.chart.helm import CHART
from tests.cluster.chart.release import WELL
from tests.cluster.chart.scenarios import ADJUSTER, containers, named
from tests.cluster.deployment import refusal
from tests.cluster.errors import HelmError
from tests.cluster.operators import Operator
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.release import Release


def reads_in_the_nodes_name(release: Release) -> bool:
    """Return True if agents impersonate their node to read pods, and have no right to read all pods."""
    roles = {each["metadata"]["name"] for each in release.cluster.api.list("ClusterRole")}
    daemonset = release.cluster.api.get("DaemonSet", "oompolicy-agent", release.NAMESPACE)
    (agent,) = daemonset["spec"]["template"]["spec"]["containers"]
    rules = ("oompolicy-agent-pods-impersonated" in roles, "oompolicy-agent-pods" in roles)
    return ("--impersonate-node" in agent["args"], *rules) == (True, True, False)


def test_the_notes_name_the_commands_that_check_the_installation(release: Release) -> None:
    """The notes have the name and the namespace of the release, and describe its configuration."""
    said = release("get", "notes", release.NAME)

    assert "kubectl get oomnodes" in said
    assert f"helm test {release.NAME} --namespace {release.NAMESPACE}" in said
    assert "The hook comes with a module, built on each node" in said
    assert "A node without the hook enforces by scores" in said
    assert "Agents may read all pods" not in said


def test_an_installation_on_1_36_lets_agents_read_in_the_name_of_their_node(release: Release) -> None:
    """An upgrade keeps this, because helm asks the cluster for its version each time."""
    assert reads_in_the_nodes_name(release)
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "operator.replicas=3")
    assert reads_in_the_nodes_name(release)


def test_the_charts_rules_restrict_an_agent_to_its_node(release: Release) -> None:
    """The rules apply to the service account in the release's namespace, and depend on the node in its token."""
    cluster = release.cluster
    unbound = cluster.api_as(cluster.kubeconfig(release.NAMESPACE, "oompolicy-agent"))
    eventually(lambda: refusal(unbound), lambda message: "the agent's token has no node name" in message)
    pod = cluster.api.get("Pod", "oompolicy-agent-node-a", release.NAMESPACE)
    agent = cluster.api_as(cluster.kubeconfig(release.NAMESPACE, "oompolicy-agent", pod))

    assert refusal(agent).endswith("the agent of node node-a may not write an Event with the reportingInstance nowhere")


def test_the_operator_works_with_the_charts_rights(release: Release, tmp_path: Path) -> None:
    """The operator accepts the chart's own policy, and creates an OOMNode for each node."""
    cluster = release.cluster
    kubeconfig = cluster.kubeconfig(release.NAMESPACE, "oompolicy-operator")
    with ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        operator = Operator(kubeconfig, "operator", port, tmp_path, namespace=release.NAMESPACE)
        stack.callback(operator.kill)
        operator.until_leading()

        def verdict() -> dict[str, str]:
            status = cluster.api.get("OOMPolicy", "oompolicy").get("status", {})
            return {each["type"]: each["status"] for each in status.get("conditions", ())}

        assert {"Ready": "True", "Overlapping": "False"} == eventually(verdict, bool)
        names = eventually(
            lambda: [each["metadata"]["name"] for each in cluster.api.list("OOMNode")], lambda names: len(names) == 2
        )
        assert set(release.NODES) == set(names)


def test_an_upgrade_applies_the_new_value(release: Release) -> None:
    """The upgrade is a new revision of the release, and restores no score of a node."""
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "operator.replicas=3")

    found = release.cluster.api.get("Deployment", "oompolicy-operator", release.NAMESPACE)
    assert 3 == found["spec"]["replicas"]
    assert "2" in release("history", release.NAME, "--output", "json")
    assert [] == [line for line in release.controllers.journal if "restore" in line or "deleted" in line]


def test_a_second_release_is_refused(release: Release) -> None:
    """The error names the first release, and Helm has created no object of the second release."""
    sentence = f"already installed in this cluster, as release {release.NAME} in namespace {release.NAMESPACE}: "
    place = ("--namespace", "another")
    with pytest.raises(HelmError, match=sentence):
        release.helm("install", "another", str(CHART), *place, "--create-namespace", *release.admin)
    with pytest.raises(HelmError, match=sentence):
        release.helm("install", release.NAME, str(CHART), *place, "--create-namespace", *release.admin)

    assert "[]" == release.helm("list", *place, "--output", "json", *release.admin).strip()


def test_helm_test_succeeds_when_all_nodes_enforce(release: Release) -> None:
    """The agent of each node reports in its OOMNode that the node enforces."""
    for node in release.NODES:
        release.says(node, **WELL)
    release("test", release.NAME)

    assert "2 nodes enforce\n" == release.controllers.words["oompolicy-test"]


def test_helm_test_prints_what_a_node_can_do_before_it_fails(release: Release) -> None:
    """The pod runs the loader of the release. For each node that does not enforce, the reader wants to know why."""
    with pytest.raises(HelmError):
        release("test", release.NAME)
    printed = release.controllers.words["oompolicy-preflight"].splitlines()

    assert printed[0].startswith("CHECK ")
    assert ["kernel", os.uname().release, "ok", "-"] == printed[1].split()
    assert ", because " in printed[-1]
    assert ["oompolicy-preflight done", "oompolicy-test failed"] == release.controllers.journal[-2:]


def test_helm_test_names_the_nodes_that_do_not_enforce(release: Release) -> None:
    """The output has the message of the node, or reports that there is no OOMNode."""
    release.says("node-a", Ready=("True", ""), Enforcing=("False", "there is no module for this kernel"))
    with pytest.raises(HelmError):
        release("test", release.NAME)
    said = release.controllers.words["oompolicy-test"]

    assert "node-a: does not enforce: there is no module for this kernel\n" in said
    assert "node-b: there is no OOMNode, which the operator creates: read the operator's log\n" in said


def test_uninstall_stops_the_agents_detaches_each_node_and_leaves_nothing(release: Release) -> None:
    """Agents and adjusters stop first, because otherwise one of them could attach or write scores again afterwards.

    Helm keeps the definitions, and deletes the chart's own policy.
    """
    release.controllers.journal.clear()
    release.uninstall()
    api = release.cluster.api
    eventually(lambda: api.list("Pod", release.NAMESPACE), lambda left: not left)

    journal = release.controllers.journal
    assert {"oompolicy-adjuster deleted", "oompolicy-agent deleted"} == set(journal[:2])
    assert [
        "oompolicy-uninstall-agents done",
        "oompolicy-detach on node-a",
        "oompolicy-detach on node-b",
        "oompolicy-uninstall-detached done",
    ] == journal[2:]
    for kind in ("DaemonSet", "Deployment", "Job", "ServiceAccount"):
        assert [] == api.list(kind, release.NAMESPACE), kind
    assert [] == [each for each in api.list("ClusterRole") if each["metadata"]["name"].startswith("oompolicy")]
    assert [] == api.list("OOMPolicy")


def test_uninstall_reports_which_node_stays_attached_and_why(release: Release) -> None:
    """The failed uninstall leaves the operator in place, and a second one succeeds."""
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "uninstall.deadlineSeconds=2")
    release.controllers.stuck.add("node-b")
    with pytest.raises(HelmError):
        release.uninstall()
    said = release.controllers.words["oompolicy-uninstall-detached"]
    kept = release.cluster.api.get("Deployment", "oompolicy-operator", release.NAMESPACE)
    privileged = release.cluster.api.list("DaemonSet", release.NAMESPACE)
    release.controllers.stuck.clear()
    release.uninstall()

    assert (
        "oompolicy-release: not done within 2 s\n"
        "DaemonSet oompolicy-detach is ready on 1 of 2 nodes\n"
        f"node-b: container detach ended with status 1: {REFUSAL}\n"
    ) == said
    assert ([], False) == (privileged, "deletionTimestamp" in kept["metadata"])
    with pytest.raises(ApiError, match="404"):
        release.cluster.api.get("Deployment", "oompolicy-operator", release.NAMESPACE)


def test_an_upgrade_that_ends_the_use_of_scores_restores_each_node(release: Release) -> None:
    """The adjusters stop before, and the agents go on. The next upgrade does not repeat it."""
    release.controllers.journal.clear()
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "scoreAdj.enabled=false")
    upgraded = list(release.controllers.journal)
    restore = named(list(yaml.safe_load_all(release("get", "hooks", release.NAME))), "DaemonSet", "oompolicy-restore")
    found = containers(restore["spec"]["template"]["spec"])
    added = {name: each["securityContext"]["capabilities"].get("add") for name, each in found.items()}
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "operator.replicas=3")
    api = release.cluster.api
    daemonsets = {each["metadata"]["name"] for each in api.list("DaemonSet", release.NAMESPACE)}
    accounts = {each["metadata"]["name"] for each in api.list("ServiceAccount", release.NAMESPACE)}

    assert [
        "oompolicy-adjuster deleted",
        "oompolicy-restore-adjusters done",
        "oompolicy-restore on node-a",
        "oompolicy-restore on node-b",
        "oompolicy-restore-restored done",
    ] == upgraded
    assert "oompolicy-restore on node-a" not in release.controllers.journal[len(upgraded) :]
    assert {"restore": ADJUSTER, "done": None} == added
    assert {"oompolicy-agent"} == daemonsets
    assert {"oompolicy-agent", "oompolicy-operator"} == accounts - {"default"}


def test_an_upgrade_that_ends_kill_scopes_restores_each_node(release: Release) -> None:
    """The new adjusters could no longer write to cgroups. They start again after it, because scores go on."""
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "killScope.enabled=true")
    release.controllers.journal.clear()
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "killScope.enabled=false")
    upgraded = list(release.controllers.journal)
    adjuster = release.cluster.api.get("DaemonSet", "oompolicy-adjuster", release.NAMESPACE)
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "operator.replicas=3")

    first = ["oompolicy-adjuster deleted", "oompolicy-restore-adjusters done"]
    assert first == upgraded[:2]
    assert {f"oompolicy-restore on node-{each}" for each in "ab"} <= set(upgraded)
    mounts = containers(adjuster["spec"]["template"]["spec"])["adjuster"]["volumeMounts"]
    assert [True] == [each["readOnly"] for each in mounts if each["name"] == "cgroup"]
    assert "oompolicy-restore on node-a" not in release.controllers.journal[len(upgraded) :]


def test_an_upgrade_that_cannot_restore_a_node_changes_nothing_and_can_be_repeated(release: Release) -> None:
    """The error names the node. The release still uses scores, so the next attempt restores again."""
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "uninstall.deadlineSeconds=2")
    release.controllers.stuck.add("node-b")
    with pytest.raises(HelmError):
        release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "hook.source=kernel")
    said = release.controllers.words["oompolicy-restore-restored"]
    daemonset = release.cluster.api.get("DaemonSet", "oompolicy-agent", release.NAMESPACE)
    release.controllers.stuck.clear()
    release("upgrade", release.NAME, str(CHART), "--reuse-values", "--set", "hook.source=kernel")

    assert "DaemonSet oompolicy-restore is ready on 1 of 2 nodes\n" in said
    assert "node-b: container detach ended with status 1" in said
    assert "--scores" in daemonset["spec"]["template"]["spec"]["containers"][0]["args"]
    assert 2 == release.controllers.journal.count("oompolicy-restore on node-a")
    assert "oompolicy-restore-restored done" == release.controllers.journal[-1]


def test_uninstall_without_hooks_leaves_nodes_as_they_are(release: Release) -> None:
    """No node is detached, so a node that never comes back does not block this uninstall. A reboot detaches too."""
    release.uninstall("--no-hooks")
    eventually(lambda: release.cluster.api.list("DaemonSet", release.NAMESPACE), lambda left: not left)

    assert "oompolicy-detach on node-a" not in release.controllers.journal
