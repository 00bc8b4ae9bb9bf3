# SPDX-License-Identifier: Apache-2.0
"""A pod's annotations set its priority within the bounds of a policy, and others are refused with a reason."""

import pytest

from oompolicy.model import MAX_REFUSALS, Assignment, FixedPriority, OOMPolicy, Refusal
from oompolicy.resolve import Resolver
from tests.unit.policy.factories import pod, policy

PRIORITY = "oompolicy.dev/priority"
CONTAINER = "oompolicy.dev/container."


def tenants(override: tuple[int, int] | None = (300, 700), **offsets: int) -> OOMPolicy:
    return policy("tenants", priority=FixedPriority(500), override=override, containers=offsets)


def assign(annotations: dict[str, str], *policies: OOMPolicy, containers: tuple[str, ...] = ("app",)) -> Assignment:
    return Resolver(policies, []).assign(pod(annotations=annotations, containers=containers))


def priorities(assignment: Assignment) -> dict[str, int]:
    return {container.name: container.priority for container in assignment.containers}


@pytest.mark.parametrize("asked", ["300", "650", "700"])
def test_a_pod_gets_the_requested_priority_within_the_override(asked: str) -> None:
    """The bounds are included, and the reason names the annotation and the policy that allows it."""
    assignment = assign({PRIORITY: asked}, tenants())

    reason = f"annotation {PRIORITY}, allowed by OOMPolicy tenants (300..700)"
    assert (int(asked), reason, "annotation") == (assignment.priority, assignment.reason, assignment.source)
    assert {"app": int(asked)} == priorities(assignment)
    assert () == assignment.refusals
    assert "tenants" == assignment.policy


@pytest.mark.parametrize("asked", ["299", "701", "0", "1000"])
def test_a_value_outside_of_the_override_is_refused(asked: str) -> None:
    """The pod keeps the policy's value."""
    assignment = assign({PRIORITY: asked}, tenants())

    expected = Refusal(PRIORITY, asked, f"{asked} is outside 300..700, which OOMPolicy tenants allows")
    assert (500, "policy", (expected,)) == (assignment.priority, assignment.source, assignment.refusals)


@pytest.mark.parametrize(
    "asked", ["", "abc", "0400", "+400", "-1", "4e2", "400.0", " 400", "400\n", "1_0", "1001", "9" * 5000, "\u0664"]
)
def test_a_value_that_is_no_plain_integer_is_refused(asked: str) -> None:
    """Each number has only one valid spelling, and the message shortens a long value."""
    (refusal,) = assign({PRIORITY: asked}, tenants()).refusals

    assert refusal.message.endswith("is not a plain integer from 0 to 1000")
    assert (asked, True) == (refusal.value, len(refusal.message) < 100)


def test_without_an_override_annotations_are_refused() -> None:
    """The message names the policy that would have to allow them."""
    assignment = assign({PRIORITY: "500", f"{CONTAINER}app": "500"}, tenants(override=None))

    message = "OOMPolicy tenants has no override, so it allows no annotations"
    assert [message, message] == [refusal.message for refusal in assignment.refusals]


def test_without_a_policy_annotations_are_refused() -> None:
    """A pod cannot leave the built-in default without a policy."""
    assignment = assign({PRIORITY: "900"})

    expected = Refusal(PRIORITY, "900", "no OOMPolicy matches this pod, so none allows annotations")
    assert (500, "default", (expected,)) == (assignment.priority, assignment.source, assignment.refusals)


def test_only_the_override_of_the_winner_counts() -> None:
    """An override of a policy with lower precedence has no effect."""
    assignment = assign({PRIORITY: "400"}, tenants(), policy("strict", precedence=101))

    assert ("strict", 900, 1) == (assignment.policy, assignment.priority, len(assignment.refusals))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (f"{CONTAINER}none", "the pod has no container 'none'"),
        (CONTAINER, "the pod has no container ''"),
        ("oompolicy.dev/prioritty", f"unknown annotation; known are {PRIORITY} and {CONTAINER}<name>"),
        ("oompolicy.dev/container", f"unknown annotation; known are {PRIORITY} and {CONTAINER}<name>"),
    ],
)
def test_an_annotation_without_a_meaning_is_refused(annotation: str, message: str) -> None:
    """A typing error is reported."""
    assert (Refusal(annotation, "400", message),) == assign({annotation: "400"}, tenants()).refusals


def test_the_most_important_of_many_refusals_are_described() -> None:
    """Known annotations come before unknown ones. All others are only counted."""
    odd = {f"oompolicy.dev/a{number:x}": "" for number in range(13_000)}
    mistyped = {f"{CONTAINER}prxy": "400", PRIORITY: "9999"}
    assignment = assign({**odd, **mistyped}, tenants())
    described = [refusal.annotation for refusal in assignment.refusals]

    assert MAX_REFUSALS == len(described)
    assert {*mistyped} < {*described}
    assert sorted(described) == described
    assert 13_002 - MAX_REFUSALS == assignment.more_refusals


@pytest.mark.parametrize("policies", [(), (tenants(override=None),)])
def test_of_many_containers_annotations_only_some_refusals_are_described(policies: tuple[OOMPolicy, ...]) -> None:
    """The pod's own annotation is among them. Each has a valid form, and no policy allows any of them."""
    names = tuple(f"c{number}" for number in range(200))
    asked = {PRIORITY: "400", **{f"{CONTAINER}{name}": "400" for name in names}}
    assignment = assign(asked, *policies, containers=names)

    assert PRIORITY in [refusal.annotation for refusal in assignment.refusals]
    assert (MAX_REFUSALS, 201 - MAX_REFUSALS) == (len(assignment.refusals), assignment.more_refusals)


def test_annotations_of_other_programs_are_ignored() -> None:
    """Only annotations with the prefix oompolicy.dev/ are read."""
    assert () == assign({"example.com/priority": "x", "oompolicy.development/a": "b"}, tenants()).refusals


def test_a_containers_annotation_wins_over_the_offset() -> None:
    """The other containers have the pod's priority and their offsets."""
    assignment = assign(
        {PRIORITY: "600", f"{CONTAINER}proxy": "650"},
        tenants(proxy=30, logs=-30),
        containers=("app", "proxy", "logs"),
    )

    assert {"app": 600, "proxy": 650, "logs": 570} == priorities(assignment)
    assert f"annotation {CONTAINER}proxy, allowed by OOMPolicy tenants (300..700)" == assignment.containers[1].reason


def test_a_containers_annotation_alone_leaves_the_pod_to_the_policy() -> None:
    """The source is that of the pod's priority."""
    assignment = assign({f"{CONTAINER}app": "650"}, tenants())

    assert (500, "policy", {"app": 650}) == (assignment.priority, assignment.source, priorities(assignment))


def test_an_annotation_that_takes_a_container_out_of_the_range_is_refused() -> None:
    """Nothing is clamped: the pod and all its containers keep the policy's values."""
    assignment = assign({PRIORITY: "980"}, tenants((0, 1000), proxy=50), containers=("app", "proxy"))

    message = (
        "980 with the offset +50 of OOMPolicy tenants would put container proxy at 1030, outside 0..1000, "
        "which the policy allows this container"
    )
    assert (Refusal(PRIORITY, "980", message),) == assignment.refusals
    assert {"app": 500, "proxy": 550} == priorities(assignment)


@pytest.mark.parametrize(
    ("asked", "offset", "reached", "bounds"),
    [("700", 150, 850, "300..700"), ("600", 150, 750, "300..700"), ("300", -150, 150, "300..700")],
)
def test_an_offset_takes_no_annotation_out_of_the_override(asked: str, offset: int, reached: int, bounds: str) -> None:
    """A container could otherwise have a priority that its own annotation may not ask for."""
    assignment = assign({PRIORITY: asked}, tenants(proxy=offset), containers=("app", "proxy"))

    message = (
        f"{asked} with the offset {offset:+d} of OOMPolicy tenants would put container proxy at {reached},"
        f" outside {bounds}, which the policy allows this container"
    )
    assert (Refusal(PRIORITY, asked, message),) == assignment.refusals
    assert {"app": 500, "proxy": 500 + offset} == priorities(assignment)


@pytest.mark.parametrize(("offset", "allowed", "refused"), [(300, "500", "501"), (-300, "500", "499")])
def test_an_annotation_may_ask_for_what_the_policy_itself_gives(offset: int, allowed: str, refused: str) -> None:
    """The offset of the policy leaves its own override, and an annotation leads as far, and no further."""
    policy = tenants(proxy=offset)

    assert () == assign({PRIORITY: allowed}, policy, containers=("app", "proxy")).refusals
    (refusal,) = assign({PRIORITY: refused}, policy, containers=("app", "proxy")).refusals
    assert f"outside {min(300, 500 + offset)}..{max(700, 500 + offset)}, which" in refusal.message


def test_an_offset_has_no_effect_on_a_container_with_an_annotation() -> None:
    """The offset would not be applied, so it cannot leave the range."""
    asked = {PRIORITY: "980", f"{CONTAINER}proxy": "990"}
    assignment = assign(asked, tenants((0, 1000), proxy=50), containers=("app", "proxy"))

    assert ((), {"app": 980, "proxy": 990}) == (assignment.refusals, priorities(assignment))


def test_a_refused_annotation_does_not_affect_the_others() -> None:
    """Each annotation is judged by itself, and refusals are sorted."""
    asked = {f"{CONTAINER}proxy": "9", PRIORITY: "400", f"{CONTAINER}app": "x"}
    assignment = assign(asked, tenants(), containers=("app", "proxy"))

    assert [f"{CONTAINER}app", f"{CONTAINER}proxy"] == [refusal.annotation for refusal in assignment.refusals]
    assert {"app": 400, "proxy": 400} == priorities(assignment)
