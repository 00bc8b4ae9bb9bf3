# SPDX-License-Identifier: Apache-2.0
"""The pod template of a workload is a pod to the command line, and other kinds are skipped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from oompolicy.manifests import Manifests, load_manifests, manifests_from_objects
from oompolicy.manifests.lint import problems_of
from oompolicy.manifests.warnings import warnings_of
from oompolicy.model import Pod, QOSClass
from oompolicy.parse.workload import API_VERSIONS
from tests.unit.policy.factories import raw_container, raw_pod, raw_policy

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}, "annotations": {"oompolicy.dev/priority": "300"}},
    "spec": {"containers": [raw_container("app", {"memory": "1Mi"})], "priorityClassName": "gold"},
}


def workload(kind: str, template: object = TEMPLATE, name: str | None = "web", **metadata: object) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    shared = {"name": name, "namespace": "shop", **metadata}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": shared, "spec": spec}


def read(*objects: dict[str, Any]) -> Manifests:
    return manifests_from_objects([(None, raw) for raw in objects], stand_in_uids=True, workloads=True)


@pytest.mark.parametrize("kind", API_VERSIONS)
def test_a_template_is_a_pod_with_the_name_of_its_workload(kind: str) -> None:
    """Labels and annotations are those of the template, because those of the workload are not on its pods."""
    own: dict[str, Any] = {"labels": {"app": "other"}, "annotations": {"oompolicy.dev/priority": "1"}}
    manifests = read(workload(kind, **own))

    assert ((), ()) == (manifests.problems, manifests.skipped)
    (pod,) = manifests.pods
    assert (kind, "shop", "web", QOSClass.BURSTABLE) == (pod.kind, pod.namespace, pod.name, pod.qos_class)
    assert ({"app": "web"}, {"oompolicy.dev/priority": "300"}, "gold") == (
        pod.labels,
        pod.annotations,
        pod.priority_class_name,
    )


def test_workloads_of_different_kinds_may_have_one_name() -> None:
    """Two of one kind, name and namespace are one object that is defined twice."""
    assert () == read(*map(workload, API_VERSIONS), raw_pod(metadata={"name": "web"})).problems
    (problem,) = read(workload("Job"), workload("Job")).problems
    assert "Job/shop/web: is defined twice" == str(problem)


@pytest.mark.parametrize(
    ("kind", "template", "message"),
    [
        ("Deployment", None, "Deployment/shop/web: spec.template: is required"),
        ("Job", [], "Job/shop/web: spec.template: must be an object, not a list"),
        ("CronJob", None, "CronJob/shop/web: spec.jobTemplate.spec.template: is required"),
        (
            "CronJob",
            {"spec": {"containers": [{"name": 1}]}},
            "CronJob/shop/web: spec.jobTemplate.spec.template.spec.containers[0].name:"
            " must be a string, not an integer; put it in quotes",
        ),
    ],
)
def test_a_problem_names_the_place_in_the_workload(kind: str, template: object, message: str) -> None:
    """The place is the one that an editor shows, and not that of a pod."""
    assert [message] == list(map(str, read(workload(kind, template)).problems))


def test_a_workload_without_a_name_is_a_problem() -> None:
    """The name is a field of the workload itself."""
    assert ["Job/shop: metadata.name: is required"] == list(map(str, read(workload("Job", name=None)).problems))


def test_lint_names_the_annotation_of_a_template() -> None:
    """No policy could allow this annotation."""
    template = {**TEMPLATE, "metadata": {"annotations": {"oompolicy.dev/priority": "high"}}}
    (problem,) = problems_of(read(workload("Deployment", template)))

    assert "Deployment/shop/web" == problem.object
    assert "spec.template.metadata.annotations[oompolicy.dev/priority]" == problem.field


def test_lint_names_the_file_of_the_pod_beside_other_kinds() -> None:
    """OOMSettings, policies and namespaces have no pod."""
    settings = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings"}
    others = [
        {**settings, "metadata": {"name": "cluster"}, "spec": {"mode": "Audit"}},
        raw_policy({"priority": {"value": 1}}),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    ]
    pod = raw_pod(metadata={"annotations": {"oompolicy.dev/priority": "high"}})
    objects = [(f"{number}.yaml", raw) for number, raw in enumerate([*others, workload("Job"), pod])]
    manifests = manifests_from_objects(objects, stand_in_uids=True, workloads=True)
    (problem,) = problems_of(manifests)

    assert ("4.yaml", "Pod/shop/postgres-0", ()) == (problem.file, problem.object, manifests.skipped)


def test_a_warning_names_the_kind_of_the_workload() -> None:
    """Two policies of one precedence match the pods of a Deployment."""
    policies = [raw_policy({"priority": {"value": 1}}, name) for name in ("a", "b")]
    (warning,) = warnings_of(read(*policies, workload("Deployment")))

    assert "both match Deployment shop/web: a applies" in warning.message


@pytest.mark.parametrize(
    "foreign",
    [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job"},
        {"apiVersion": "example.com/v1", "kind": "AllowList"},
        {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode"},
        {"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}}]},
    ],
)
def test_a_foreign_kind_is_skipped_and_counted(foreign: dict[str, Any]) -> None:
    """The rest of a Helm chart does not hide the problems of the policies."""
    manifests = read(foreign, workload("Job"))

    assert ((), 1, 1) == (manifests.problems, len(manifests.skipped), len(manifests.pods))
    assert [foreign["kind"].removesuffix("List") if "items" in foreign else foreign["kind"]] == list(manifests.skipped)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolcy"}, "kind"),
        ({"apiVersion": "v1"}, "kind"),
        ({"kind": "ConfigMap"}, "kind"),
        ({"apiVersion": "v2", "kind": "Pod"}, "apiVersion"),
        ({"apiVersion": "apps/v1beta1", "kind": "Deployment"}, "apiVersion"),
    ],
)
def test_a_probable_mistake_is_not_skipped(wrong: dict[str, Any], field: str) -> None:
    """A misspelt kind of oompolicy would otherwise look like a policy that selects nothing."""
    assert [field] == [problem.field for problem in read(wrong).problems]


def test_a_folder_of_the_agent_must_hold_pods_only() -> None:
    """A node runs pods. The template of a Deployment has no cgroup."""
    manifests = manifests_from_objects([(None, workload("Deployment"))])

    assert ((), ["kind"]) == (manifests.pods, [problem.field for problem in manifests.problems])


def test_directories_are_read_recursively_on_request(tmp_path: Path) -> None:
    """Hidden directories, and links that could lead back, are left out."""
    for number, folder in enumerate((".", "a", "a/b", ".git")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "pod.yaml").write_text(yaml.safe_dump(raw_pod(metadata={"name": f"p{number}", "uid": ""})))
    (tmp_path / "a/loop").symlink_to(tmp_path)

    def names(*, recursive: bool) -> list[str]:
        seen: list[Path] = []
        found = load_manifests([tmp_path], stand_in_uids=True, recursive=recursive, on_file=seen.append)
        assert len(seen) == len(found.pods)
        return [pod.name for pod in found.pods]

    assert ["p0"] == names(recursive=False)
    assert ["p0", "p1", "p2"] == names(recursive=True)


def test_a_pod_is_of_the_kind_pod() -> None:
    """The default is the kind of every pod that the API server has."""
    (pod,) = read(raw_pod()).pods

    assert isinstance(pod, Pod)
    assert "Pod" == pod.kind
