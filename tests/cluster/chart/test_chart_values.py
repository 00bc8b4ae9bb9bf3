# SPDX-License-Identifier: Apache-2.0
"""The chart refuses wrong values with a clear message, lints without a warning, and is complete in a package."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.cluster.chart.helm import CHART
from tests.cluster.errors import HelmError
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.helm import Helm


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("agent.tolerences=1", "at '/agent': additional properties 'tolerences' not allowed"),
        ("images.loader.sha=1", "at '/images/loader': additional properties 'sha' not allowed"),
        ("operator.resources.limit.cpu=1", "at '/operator/resources': additional properties 'limit' not allowed"),
        ("agent.affinity.nodeafinity.a=1", "at '/agent/affinity': additional properties 'nodeafinity' not allowed"),
        ("hook.source=kernl", "at '/hook/source': value must be one of 'auto', 'module', 'scores', 'kernel', 'none'"),
        ("scoreAdj.enabled=yes", "at '/scoreAdj/enabled': got string, want boolean"),
        ("killScope.enabled=yes", "at '/killScope/enabled': got string, want boolean"),
        ("proof.enabled=yes", "at '/proof/enabled': value must be one of 'auto', true, false"),
        ("killScope=true", "at '/killScope': got boolean, want object"),
        ("kernelLog.enabled=yes", "at '/kernelLog/enabled': got string, want boolean"),
        ("scoreAdj.enable=true", "at '/scoreAdj': additional properties 'enable' not allowed"),
        ("settings.hostPriority=2000", "at '/settings/hostPriority': maximum: got 2,000, want 1,000"),
        ("settings.defaults.besteffort=1", "at '/settings/defaults': additional properties 'besteffort' not allowed"),
        ("hook.module.path=relative", "at '/hook/module/path': 'relative' does not match pattern"),
        ("policy.priority=high", "at '/policy/priority': got string, want integer"),
        ("networkPolicy.from.a=b", "at '/networkPolicy/from': got object, want array"),
        ("operator.silentAfter=300", "at '/operator/silentAfter': minimum: got 300, want 360"),
        ("agent.extraEnv[0].value=1", "at '/agent/extraEnv/0': missing property 'name'"),
        ("resourceQuota.pods=many", "at '/resourceQuota/pods': 'many' does not match pattern"),
        (r"commonLabels.helm\.sh/chart=x", "at '/commonLabels/helm.sh~1chart'"),
        ("agent.maxUnavailable=0", "at '/agent/maxUnavailable': minimum: got 0, want 1"),
        (r"operator.podLabels.app\.kubernetes\.io/name=x", "at '/operator/podLabels/app.kubernetes.io~1name'"),
    ],
)
def test_a_wrong_value_is_refused(helm: Helm, value: str, sentence: str) -> None:
    """The message names the wrong value. Otherwise a misspelt value would be a setting without effect."""
    with pytest.raises(HelmError) as refused:
        helm.template("--set", value)

    assert sentence in str(refused.value)


def test_a_cluster_that_cannot_restrict_agents_to_their_node_is_refused(helm: Helm) -> None:
    """The chart does not replace `ownNode` by wider rights without a message."""
    with pytest.raises(HelmError, match=r"agent\.podAccess is ownNode, which needs Kubernetes 1\.36.*v1\.35\.1"):
        helm.template("--set", "agent.podAccess=ownNode", version="1.35.1")


def test_a_source_of_scores_without_scores_is_refused(helm: Helm) -> None:
    """The chart does not choose one of two values that contradict each other."""
    with pytest.raises(HelmError, match=r"hook\.source is scores and scoreAdj\.enabled is false: set hook\.source to"):
        helm.template("--set", "hook.source=scores", "--set", "scoreAdj.enabled=false")


@pytest.mark.parametrize("source", ["scores", "none"])
def test_a_proof_that_no_loader_makes_is_refused(helm: Helm, source: str) -> None:
    """A value without effect would look like a node that has proved that it enforces."""
    with pytest.raises(HelmError, match=rf"proof\.enabled is true and hook\.source is {source}, with which no loader"):
        helm.template("--set", f"hook.source={source}", "--set", "proof.enabled=true")


@pytest.mark.parametrize("priority", ["900", "0"])
def test_the_earlier_value_of_the_hosts_priority_is_refused(helm: Helm, priority: str) -> None:
    """The message says where it is now. A value without effect would make the host's processes safer than intended."""
    with pytest.raises(HelmError, match=rf"settings\.hostPriority={priority}\. If the cluster has OOMSettings already"):
        helm.template("--set", f"hook.hostPriority={priority}")


@pytest.mark.parametrize("value", ["hook.hostPriority=1000", "hook.hostPriority=null"])
def test_the_earlier_default_of_the_hosts_priority_is_accepted(helm: Helm, value: str) -> None:
    """`helm upgrade --reuse-values` passes the defaults of the earlier chart."""
    assert helm.template() == helm.template("--set", value)


@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
def test_a_monitor_with_a_networkpolicy_that_admits_no_pod_is_refused(helm: Helm, monitor: str) -> None:
    """A NetworkPolicy without pods would block the Prometheus that reads the monitor."""
    flags = [word for name in (monitor, "networkPolicy") for word in ("--set", f"{name}.enabled=true")]

    with pytest.raises(HelmError, match=f"{monitor}.enabled and .*name the pods of your Prometheus"):
        helm.template(*flags)


def test_two_monitors_of_the_same_pods_are_refused(helm: Helm) -> None:
    """Prometheus would scrape each pod twice."""
    flags = [word for name in ("podMonitor", "serviceMonitor") for word in ("--set", f"{name}.enabled=true")]

    with pytest.raises(HelmError, match="would count each victim twice: set one of them to false"):
        helm.template(*flags)


def test_a_cluster_that_is_too_old_is_refused(helm: Helm) -> None:
    """Kubernetes 1.29 does not serve the admission policies that restrict an agent's writes to its node."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.30\.0-0"):
        helm.template(version="1.29.9")


def test_helm_lint_finds_no_problem(helm: Helm) -> None:
    """`helm lint --strict` finds no error and no warning."""
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_a_package_contains_the_linked_files(helm: Helm, tmp_path: Path) -> None:
    """Definitions, rules and the licence are files, because a link out of the package would have no target."""
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("oompolicy-*.tgz")
    with tarfile.open(package) as opened:
        files = {each.name for each in opened.getmembers() if each.isfile()}
    expected = {
        f"oompolicy/{folder}/{file.name}" for folder in ("crds", "deploy") for file in (CHECKOUT / folder).iterdir()
    }

    assert len(expected) >= 8
    assert expected | {"oompolicy/LICENSE", "oompolicy/README.md"} <= files
