# SPDX-License-Identifier: Apache-2.0
"""QoS class and memory request are computed as kubelet and scheduler do it."""

from fractions import Fraction
from typing import Any

import pytest

from oompolicy.model import Pod, QOSClass
from oompolicy.parse import parse_pod
from oompolicy.parse.quantity import parse_quantity
from tests.unit.policy.factories import raw_container, raw_pod

FULL = {"cpu": "1", "memory": "1Gi"}
MIB = 1024 * 1024


def pod_of(**spec: object) -> Pod:
    raw = raw_pod()
    raw["spec"] |= spec
    return parse_pod(raw)


def asking(name: str, mib: int, **rest: str) -> dict[str, Any]:
    return {**raw_container(name, {"memory": f"{mib}Mi"}), **rest}


@pytest.mark.parametrize(
    ("expected", "containers"),
    [
        (QOSClass.BEST_EFFORT, [raw_container("a")]),
        (QOSClass.BEST_EFFORT, [raw_container("a", {"memory": "0"}, {"cpu": 0})]),
        (QOSClass.BEST_EFFORT, [raw_container("a", {"ephemeral-storage": "1Gi"})]),
        (QOSClass.GUARANTEED, [raw_container("a", FULL, FULL)]),
        (QOSClass.GUARANTEED, [raw_container("a", None, FULL)]),
        (QOSClass.GUARANTEED, [raw_container("a", {"cpu": "1000m", "memory": 1024 * MIB}, FULL)]),
        (QOSClass.BURSTABLE, [raw_container("a", FULL)]),
        (QOSClass.BURSTABLE, [raw_container("a", None, {"memory": "1Gi"})]),
        (QOSClass.BURSTABLE, [raw_container("a", {"memory": "1Mi"}, FULL)]),
        (QOSClass.BURSTABLE, [raw_container("a", FULL, FULL), raw_container("b")]),
        (QOSClass.BURSTABLE, [raw_container("a", FULL, FULL), raw_container("b", FULL)]),
        (
            QOSClass.GUARANTEED,
            [raw_container("a", {"cpu": "0.2501", "memory": "1Gi"}, {"cpu": "0.2509", "memory": "1Gi"})],
        ),
        (
            QOSClass.BURSTABLE,
            [raw_container("a", {"cpu": "0.2499", "memory": "1Gi"}, {"cpu": "0.2509", "memory": "1Gi"})],
        ),
        (QOSClass.GUARANTEED, [raw_container("a", {"memory": " 1Gi "}, FULL)]),
        (QOSClass.BURSTABLE, [raw_container("a", {"memory": None}, FULL)]),
    ],
)
def test_the_qos_class_follows_from_requests_and_limits(expected: QOSClass, containers: list[dict[str, Any]]) -> None:
    """A class that all containers share is the pod's, and any mixture is Burstable. A limit alone is a request too."""
    assert expected is pod_of(containers=containers).qos_class


def test_init_containers_count_for_the_qos_class_and_ephemeral_ones_do_not() -> None:
    """Ephemeral containers cannot have resources."""
    guaranteed = [raw_container("a", FULL, FULL)]

    assert QOSClass.BURSTABLE is pod_of(containers=guaranteed, initContainers=[{"name": "i"}]).qos_class
    assert QOSClass.GUARANTEED is pod_of(containers=guaranteed, ephemeralContainers=[{"name": "e"}]).qos_class


@pytest.mark.parametrize(
    ("expected", "resources"),
    [
        (QOSClass.GUARANTEED, {"limits": FULL, "requests": FULL}),
        (QOSClass.BURSTABLE, {"requests": FULL}),
        (QOSClass.BURSTABLE, {"limits": {"memory": "1Gi"}}),
        (QOSClass.BURSTABLE, {"limits": {"hugepages-2Mi": "4Mi"}}),
        (QOSClass.BEST_EFFORT, {}),
        (QOSClass.BEST_EFFORT, {"requests": {"memory": "0"}}),
    ],
)
def test_only_the_resources_of_the_pod_count_if_it_has_any(expected: QOSClass, resources: dict[str, Any]) -> None:
    """With pod-level resources, those of the containers do not count."""
    assert expected is pod_of(resources=resources, containers=[asking("a", 1)]).qos_class


def test_a_pod_level_limit_without_requests_anywhere_is_the_request() -> None:
    """The pod is Guaranteed and requests its limit."""
    pod = pod_of(resources={"limits": FULL}, containers=[{"name": "a"}])

    assert (QOSClass.GUARANTEED, 1024 * MIB) == (pod.qos_class, pod.memory_request)


def test_limits_of_huge_pages_count_as_the_pods_if_only_containers_have_them() -> None:
    """The API server sets them as the pod's, and then the containers' requests are the pod's too."""
    container = raw_container("a", {"cpu": "1", "memory": "1Gi"}, {"hugepages-2Mi": "4Mi"})

    assert QOSClass.BEST_EFFORT is pod_of(resources={"requests": {"cpu": "0"}}, containers=[asking("a", 1)]).qos_class
    assert QOSClass.BURSTABLE is pod_of(resources={"requests": {"memory": "0"}}, containers=[container]).qos_class


def test_the_qos_class_in_the_status_counts() -> None:
    """The class in the status does not change while a pod lives, even if the spec does."""
    assert QOSClass.GUARANTEED is parse_pod(raw_pod(status={"qosClass": "Guaranteed"})).qos_class


@pytest.mark.parametrize(
    ("expected", "spec"),
    [
        (0, {}),
        (30, {"containers": [asking("a", 10), asking("b", 20)]}),
        (50, {"containers": [asking("a", 10)], "initContainers": [asking("i", 50), asking("j", 20)]}),
        (
            15,
            {"containers": [asking("a", 10)], "initContainers": [asking("s", 5, restartPolicy="Always")]},
        ),
        (
            # The second init container runs beside the sidecar. The first one ended before.
            55,
            {
                "containers": [asking("a", 10)],
                "initContainers": [asking("i", 52), asking("s", 5, restartPolicy="Always"), asking("j", 50)],
            },
        ),
        (17, {"containers": [asking("a", 10)], "overhead": {"memory": "7Mi", "cpu": "250m"}}),
        (107, {"containers": [asking("a", 10)], "resources": {"requests": {"memory": "107Mi"}}}),
        (10, {"containers": [asking("a", 10)], "resources": {"limits": {"memory": "100Mi"}}}),
        (10, {"containers": [asking("a", 10)], "resources": {"requests": {"cpu": "1"}}}),
        (
            27,
            {
                "containers": [asking("a", 10)],
                "resources": {"requests": {"memory": "20Mi"}},
                "overhead": {"memory": "7Mi"},
            },
        ),
    ],
)
def test_the_memory_request_is_that_of_the_scheduler(expected: int, spec: dict[str, Any]) -> None:
    """Init containers, sidecars, overhead and pod-level resources are included. The numbers are MiB."""
    assert expected * MIB == pod_of(**spec).memory_request


def test_a_memory_request_is_at_most_the_largest_number_of_the_map() -> None:
    """Two containers with a larger request have the same sum as one."""
    assert 2**63 - 1 == pod_of(containers=[raw_container(name, {"memory": "1e400"}) for name in "ab"]).memory_request


def test_part_of_a_byte_is_a_byte() -> None:
    """Kubernetes rounds a quantity up when it takes its integer value."""
    assert 129 == pod_of(containers=[raw_container("a", {"memory": "128500m"})]).memory_request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512Mi", 512 * MIB),
        ("1.5Gi", 1536 * MIB),
        ("1G", 10**9),
        ("1k", 1000),
        ("100m", Fraction(1, 10)),
        ("5u", Fraction(5, 10**6)),
        ("5n", Fraction(5, 10**9)),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("2Ei", 2**61),
        ("12e-1", Fraction(6, 5)),
        ("+.5", Fraction(1, 2)),
        ("5.", 5),
        ("-1", -1),
        ("1e000", 1),
        ("1e009", 10**9),
        ("1e400", 2**63 - 1),
        ("-1e400", 1 - 2**63),
        ("9Ei", 2**63 - 1),
        ("9" * 5000, 2**63 - 1),
        ("1" + "0" * 5000 + "e-5000", 1),
        ("2e2147483647", 2**63 - 1),
        ("1e-2147483647", Fraction(1, 10**9)),
        ("0.1n", Fraction(1, 10**9)),
        ("1e4294967296", 1),
        (".", 0),
        ("+", 0),
        ("Mi", 0),
        ("e5", 0),
    ],
)
def test_quantities_are_read_exactly(text: str, expected: Fraction | int) -> None:
    """Units, exponents and fractions are read as upstream's ParseQuantity reads them, up to 2^63-1."""
    assert expected == parse_quantity(text)


@pytest.mark.parametrize(
    "text",
    ["", "1 Mi", " 1", "1mi", "1K", "1Kib", "0x10", "1e", "1e+", "1e1.5", f"1e{2**63}", "1Mi\n", "\u0661", "1_0"],
)
def test_text_that_is_no_quantity_is_refused(text: str) -> None:
    """No text is read only in part."""
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)


def test_a_quantity_as_long_as_an_object_can_be_is_read() -> None:
    """The API server accepts objects of 1.5 MB. A message shows only the beginning of a long text."""
    assert 2**63 - 1 == parse_quantity("9" * 1_500_000)
    assert Fraction(1, 10**9) == parse_quantity(f".{'0' * 1_500_000}1")
    with pytest.raises(ValueError, match=r"^'9{40}\.\.\.' is no quantity$"):
        parse_quantity("9" * 1_500_000 + "Q")
