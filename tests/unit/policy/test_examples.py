# SPDX-License-Identifier: Apache-2.0
"""Every example is valid and has the effect that its comment describes."""

import re
from pathlib import Path

import pytest

from oompolicy.manifests import Manifests, load_manifests
from oompolicy.manifests.lint import problems_of
from oompolicy.model import Assignment, Namespace, Pod, QOSClass
from oompolicy.resolve import Resolver, resolve
from tests.unit.policy.factories import pod

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(file for file in EXAMPLES.rglob("*") if file.is_file())
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def demo() -> Manifests:
    return load_manifests([EXAMPLES / "demo"])


def assign(example: str, pod: Pod, **namespace_labels: str) -> Assignment:
    policies = load_manifests([EXAMPLES / "policies" / example]).policies
    return Resolver(policies, [Namespace(pod.namespace, namespace_labels)]).assign(pod)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_every_example_is_valid(file: Path) -> None:
    """The agent can read them too. Only the pods for trying policies need a stand-in for their uid."""
    manifests = load_manifests([file], stand_in_uids=file.parent.name == "pods")

    assert () == problems_of(manifests)
    assert manifests.objects


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_every_example_resolves_the_demo_pods(file: Path, demo: Manifests) -> None:
    """Each policy can be tried on them."""
    manifests = load_manifests([file], stand_in_uids=True)

    assert 3 == len(resolve(manifests.policies, demo.namespaces, demo.pods))


def test_all_policies_can_be_applied_together() -> None:
    """No two examples have one name, and none overlaps another for the demo's pods."""
    manifests = load_manifests([EXAMPLES / "demo", EXAMPLES / "policies"])

    assignments = resolve(manifests.policies, manifests.namespaces, manifests.pods)
    assert ((), [()] * 3) == (manifests.problems, [each.overlapping for each in assignments])


def test_the_demo_ranks_the_report_first_and_the_database_last(demo: Manifests) -> None:
    """The pod of the lowest priority is killed first."""
    assignments = resolve(demo.policies, demo.namespaces, demo.pods)

    expected = {
        "report-29393280-lq5rd": (100, "batch"),
        "web-7d4b9c6f58-x2k8q": (500, None),
        "postgres-0": (900, "databases"),
    }
    assert expected == {each.pod_name: (each.priority, each.policy) for each in assignments}


def test_the_kernel_could_not_distinguish_the_demo_pods(demo: Manifests) -> None:
    """The same class and request give the same oom_score_adj, so only the size would decide."""
    assert {(QOSClass.BURSTABLE, 64 * 1024 * 1024)} == {(each.qos_class, each.memory_request) for each in demo.pods}


def test_the_demo_pods_look_like_real_ones(demo: Manifests) -> None:
    """The pods are on one node and have uids and container ids of the usual form."""
    for each in demo.pods:
        ids = [container_id for container in each.containers for container_id in container.container_ids]
        assert UUID.fullmatch(each.uid)
        assert ids
        assert all(re.fullmatch("[0-9a-f]{64}", container_id) for container_id in ids)
        assert ("demo-node", "Running") == (each.node_name, each.phase)


ISTIO = {"istio-injection": "enabled"}


def test_sidecars_are_ranked_within_their_pod() -> None:
    """The proxy has a higher priority than the application, and the log shipper a lower one."""
    subject = pod(labels={"app": "web"}, containers=("migrate-schema", "web", "istio-proxy", "fluent-bit"))

    priorities = {each.name: each.priority for each in assign("sidecars.yaml", subject, **ISTIO).containers}
    assert {"migrate-schema": 700, "web": 600, "istio-proxy": 650, "fluent-bit": 400} == priorities


@pytest.mark.parametrize(
    ("asked", "qos_class", "expected", "refusals"),
    [
        ("650", QOSClass.BURSTABLE, 650, 0),
        ("701", QOSClass.BURSTABLE, 500, 1),
        ("300", QOSClass.GUARANTEED, 650, 1),
    ],
)
def test_tenants_rank_their_pods_within_bounds(asked: str, qos_class: QOSClass, expected: int, refusals: int) -> None:
    """Guaranteed pods are not changed."""
    subject = pod(annotations={"oompolicy.dev/priority": asked}, qos_class=qos_class)

    assignment = assign("multi-tenant-override.yaml", subject, **{"example.com/tenant": "blue"})
    assert (expected, refusals) == (assignment.priority, len(assignment.refusals))


@pytest.mark.parametrize(
    ("name", "expected"), [("system-node-critical", 1000), ("batch", 100), ("unheard-of", 400), (None, 400)]
)
def test_priority_classes_become_priorities(name: str | None, expected: int) -> None:
    """A class that the policy does not name has the policy's default."""
    assert expected == assign("priority-classes.yaml", pod(priority_class_name=name)).priority


def test_qos_classes_can_be_ranked_again() -> None:
    """The policy replaces the built-in defaults in the whole cluster."""
    priorities = [assign("qos-classes.yaml", pod(qos_class=each)).priority for each in QOSClass]

    assert [700, 400, 100] == priorities
