# SPDX-License-Identifier: Apache-2.0
"""Values with which an admin adapts the chart to a platform change exactly the objects that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.chart.scenarios import containers, named, pod_templates

if TYPE_CHECKING:
    from tests.cluster.chart.helm import Helm

    Rendered = dict[str, list[dict[str, Any]]]

# Values of a release that `helm upgrade --reuse-values` keeps from a version without these keys.
OLD_VALUES = (
    "commonLabels",
    "serviceMonitor",
    "prometheusRule",
    "resourceQuota",
    "openshift",
    "killScope",
    "kernelLog",
)


def test_common_labels_are_on_every_object_and_pod(rendered: Rendered) -> None:
    """Selectors do not have them, because the selector of a DaemonSet can never change."""
    objects = [each for each in rendered["extended"] if each["kind"] != "CustomResourceDefinition"]
    labels = [each["metadata"]["labels"] for each in objects]
    templates = [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]
    selectors = [each["spec"]["selector"] for each in objects if "selector" in each.get("spec", {})]

    assert len(objects) > 20
    assert {"platform"} == {each.get("team") for each in labels}
    assert {"platform"} == {each["metadata"]["labels"].get("team") for each in templates}
    assert selectors
    assert "platform" not in str(selectors)


@pytest.mark.parametrize(
    ("workload", "container", "variable", "argument"),
    [
        (("DaemonSet", "oompolicy-agent"), "agent", {"name": "ONE", "value": "a"}, "--one"),
        (("DaemonSet", "oompolicy-agent"), "loader", {"name": "TWO", "value": "b"}, "--two"),
        (("Deployment", "oompolicy-operator"), "operator", {"name": "THREE", "value": "c"}, "--three"),
        (("DaemonSet", "oompolicy-adjuster"), "adjuster", {"name": "FOUR", "value": "d"}, "--four"),
    ],
)
def test_a_container_gets_its_own_extra_variables_and_arguments(
    rendered: Rendered, workload: tuple[str, str], container: str, variable: dict[str, str], argument: str
) -> None:
    """They follow the chart's own variables and arguments, and nothing else changes."""
    extended, default = (
        containers(named(rendered[scenario], *workload)["spec"]["template"]["spec"])[container]
        for scenario in ("extended", "defaults")
    )

    added = {"env": [*default.get("env", ()), variable], "args": [*default["args"], argument]}

    assert {**default, **added} == extended


def test_a_service_monitor_finds_the_port_of_each_component(rendered: Rendered) -> None:
    """A Service for each component selects the pods with this container port, also while they are not ready."""
    objects = rendered["extended"]
    monitor = named(objects, "ServiceMonitor", "oompolicy")["spec"]
    (components,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["endpoints"]
    services = [each for each in objects if each["kind"] == "Service"]
    pods = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: port["containerPort"]
        for each in objects
        if "template" in each.get("spec", {})
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
    }
    served = {
        each["spec"]["selector"]["app.kubernetes.io/component"]: port["port"]
        for each in services
        for port in each["spec"]["ports"]
        if port["name"] == endpoint["port"]
    }

    assert pods == served
    assert set(components["values"]) == set(served)
    assert all(each["metadata"]["labels"].items() >= each["spec"]["selector"].items() for each in services)
    assert {True} == {each["spec"]["publishNotReadyAddresses"] for each in services}


def test_the_quota_is_for_the_classes_of_agents_and_operator(rendered: Rendered) -> None:
    """Some providers allow these PriorityClasses only where a ResourceQuota names them."""
    spec = named(rendered["extended"], "ResourceQuota", "oompolicy")["spec"]
    (expression,) = spec["scopeSelector"]["matchExpressions"]
    classes = {pod["priorityClassName"] for _, pod in pod_templates(rendered["extended"]) if "priorityClassName" in pod}

    assert ({"pods": "1G"}, "PriorityClass") == (spec["hard"], expression["scopeName"])
    assert classes == set(expression["values"])


def test_on_openshift_only_privileged_pods_may_use_privileged(rendered: Rendered) -> None:
    """Every service account of a pod may use the constraints that the pod needs, and no others."""
    objects = rendered["openshift"]
    needed: dict[str, set[str]] = {}
    for name, pod in pod_templates(objects):
        privileged = any("hostPath" in volume for volume in pod.get("volumes", ()))
        constraints = "privileged" if privileged else "nonroot-v2"
        needed.setdefault(constraints, set()).add(pod.get("serviceAccountName", f"default, of {name}"))
    bound = {
        each["roleRef"]["name"].rpartition(":")[2]: {subject["name"] for subject in each["subjects"]}
        for each in objects
        if each["kind"] == "RoleBinding" and each["roleRef"]["name"].startswith("system:openshift:scc:")
    }

    assert needed == bound
    assert "oompolicy-scc" not in str(rendered["defaults"])


def test_values_of_an_earlier_version_render_the_defaults(helm: Helm, rendered: Rendered) -> None:
    """`helm upgrade --reuse-values` keeps values that do not have the new keys."""
    flags = [word for name in OLD_VALUES for word in ("--set", f"{name}=null")]
    more = [word for name in ("agent", "operator") for word in ("--set", f"{name}.extraEnv=null,{name}.extraArgs=null")]

    assert rendered["defaults"] == helm.template(*flags, *more)


def test_values_of_an_earlier_version_bring_no_adjuster(helm: Helm, rendered: Rendered) -> None:
    """These values name the earlier default, and a node that only observed does not begin to enforce by an upgrade."""
    assert rendered["module"] == helm.template("--set", "scoreAdj=null,hook.source=module")


def test_scores_without_further_values_have_an_adjuster(helm: Helm) -> None:
    """`helm upgrade --reuse-values --set hook.source=auto` has no key `scoreAdj`."""
    adjuster = named(helm.template("--set", "scoreAdj=null"), "DaemonSet", "oompolicy-adjuster")

    assert {} == containers(adjuster["spec"]["template"]["spec"])["adjuster"]["resources"]
