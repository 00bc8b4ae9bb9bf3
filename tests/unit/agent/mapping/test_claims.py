# SPDX-License-Identifier: Apache-2.0
"""If several pods claim one cgroup, only data that tenants cannot write decides."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy.model import Defaults, KillScope, Mirror, QOSClass
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, Tree
from oompolicy_agent.mapping.claims import (
    NOT_DECIDED,
    NOT_FIRST,
    NOT_ITS_OWN,
    NOT_PROVEN,
    NOT_THE_NODES,
    Settled,
    by_cgroup,
    settle,
)
from oompolicy_agent.mapping.desired import desired
from oompolicy_agent.mapping.owners import Owner, pod_owner
from oompolicy_agent.objects.source import DeletedPods
from tests.unit.agent.fakes import APP, STATIC_UID, UID, pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oompolicy.model import Pod

DEFAULTS: Final = Defaults()
CGROUP: Final = 100
EARLY, LATE = "2026-11-27T20:00:00Z", "2026-11-27T20:00:01Z"
RUNNING: Final[dict[str, Sequence[str]]] = {"app": (APP,)}
PRIORITIES: Final = {"victim": 900, "static": 1000, "x": 10}


def mirror(
    name: str = "x", of: str = STATIC_UID, *, by_node: bool = True, created: str = EARLY, running: bool = False
) -> Pod:
    """Return a mirror pod. With `running`, the kubelet has reported a container of it."""
    made = pod(name, uid=f"uid-of-{name}", cgroup_uid=of, containers=RUNNING if running else {"app": ()})
    return replace(made, mirror=Mirror(by_node, created))


def tree(uid: str) -> Tree:
    return Tree(1, (), {uid: PodCgroup(CGROUP, "/pod", QOSClass.BURSTABLE, {APP: CgroupDir(101, "/pod/app")})})


def settled(pods: Iterable[Pod], uid: str = STATIC_UID, before: Owner | None = None) -> Settled:
    pods = tuple(pods)
    assignments = [
        replace(each, priority=PRIORITIES[each.pod_name], containers=()) for each in resolve((), (), pods, DEFAULTS)
    ]
    return settle(pods, assignments, tree(uid), {CGROUP: before}.get, DEFAULTS)


def outcome(pods: Iterable[Pod], uid: str = STATIC_UID, before: Owner | None = None) -> tuple[list[str], int | None]:
    """Return the names of the pods that have their cgroup, and the priority of the cgroup's entry."""
    found = settled(pods, uid, before)
    entry = desired(found.assignments, found.pods, tree(uid), DEFAULTS).entries.get(CGROUP)
    return [each.name for each in found.pods], entry.priority if entry else None


def refusals(found: Settled) -> dict[str, str]:
    return {each.pod_name: refusal.message for each in found.assignments_to_report for refusal in each.refusals}


VICTIM: Final = pod("victim")
STATIC: Final = mirror("static")


@pytest.mark.parametrize(
    ("pods", "uid"),
    [
        ([VICTIM, mirror(of=UID, by_node=False)], UID),
        ([VICTIM, mirror(of=UID)], UID),
        ([VICTIM, mirror(of=UID, running=True)], UID),
        ([replace(VICTIM, containers=()), mirror(of=UID)], UID),
        ([STATIC, mirror(by_node=False)], STATIC_UID),
        ([mirror("static", created=LATE), mirror(by_node=False)], STATIC_UID),
        ([STATIC, mirror(created=LATE)], STATIC_UID),
        ([mirror("static", created=LATE, running=True), mirror()], STATIC_UID),
        ([mirror("static", by_node=False, running=True), mirror()], STATIC_UID),
    ],
)
def test_the_right_pod_has_the_cgroup(pods: list[Pod], uid: str) -> None:
    """The other pod is refused, and the priority is that of the right one, in each order of the objects."""
    right, forged = pods
    expected = [right.name], PRIORITIES[right.name]

    assert [expected] * 2 == [outcome(order, uid) for order in permutations(pods)]
    assert {forged.name} == set(refusals(settled(pods, uid)))
    assert {uid: right} == by_cgroup(reversed(pods), tree(uid))


def test_a_refusal_has_a_reason() -> None:
    """The pod's owner reads it in an Event, so it names no pod of another owner."""
    static = mirror("static", running=True)
    found = [
        settled([VICTIM, mirror(of=UID)], UID),
        settled([STATIC, mirror(by_node=False)]),
        settled([STATIC, mirror(created=LATE)]),
        settled([static, mirror()]),
        settled([STATIC, mirror()]),
    ]

    assert [NOT_ITS_OWN, NOT_THE_NODES, NOT_FIRST, NOT_PROVEN, NOT_DECIDED] == [refusals(each)["x"] for each in found]
    assert ["uid-of-x"] == list(found[0].refused)


def test_a_forged_pod_that_is_first_does_not_lower_the_priority() -> None:
    """Until the kubelet has written the status of the right pod, both are equally credible."""
    forged, right = mirror(), mirror("static", created=LATE)

    assert (["x"], 1000) == outcome([forged])
    assert (["x"], 1000) == outcome([forged, right])
    assert (["static"], 1000) == outcome([forged, mirror("static", created=LATE, running=True)])


def test_two_mirror_pods_of_the_same_second_are_both_refused() -> None:
    """No order decides between them, so the cgroup has the default of its QoS class."""
    assert ([], None) == outcome([STATIC, mirror()])
    assert {"static": NOT_DECIDED, "x": NOT_DECIDED} == refusals(settled([STATIC, mirror()]))


def test_a_static_pod_may_have_a_low_priority_once_its_containers_run() -> None:
    """The admin's policies apply to static pods too."""
    assert (["x"], 10) == outcome([mirror(running=True)])


@pytest.mark.parametrize(("running", "scope"), [(False, None), (True, KillScope.POD)])
def test_a_mirror_pod_has_a_kill_scope_once_its_containers_run(running: bool, scope: KillScope | None) -> None:
    """A pod that may still be forged must not decide which processes of a static pod die together."""
    static = mirror("static", running=running)
    (assignment,) = resolve((), (), [static], DEFAULTS)
    found = settle(
        [static], [replace(assignment, kill_scope=KillScope.POD)], tree(STATIC_UID), lambda _: None, DEFAULTS
    )

    assert [scope] == [each.kill_scope for each in found.assignments]


def test_a_mirror_pod_in_a_manifest_file_is_believed() -> None:
    """A user with access to the files of a node without API server may set priorities too."""
    assert (["x"], 10) == outcome([mirror(by_node=False, created="")])


def test_a_mirror_pod_that_the_node_did_not_create_has_no_cgroup() -> None:
    """This holds even if no other pod claims the cgroup."""
    assert ([], None) == outcome([mirror(by_node=False)])
    assert {"x": NOT_THE_NODES} == refusals(settled([mirror(by_node=False)]))


def test_the_cgroup_of_a_pod_without_object_is_not_free() -> None:
    """A tenant could delete a pod by force, and name its uid in a mirror pod with a better priority."""
    before = pod_owner(Owner("pod", "/pod", cgroup_uid=UID), VICTIM)
    again = replace(mirror(of=UID), namespace=VICTIM.namespace, name="victim")

    assert ([], None) == outcome([mirror(of=UID)], UID, before)
    assert ([], None) == outcome([again], UID, before)
    assert {"victim": NOT_PROVEN} == refusals(settled([again], UID, before))
    assert ([], None) == outcome([mirror(of=UID, running=True)], UID, before)


def test_a_forged_status_does_not_lower_the_priority() -> None:
    """If two mirror pods both seem to be proven, they are in dispute again."""
    forged, right = mirror(running=True), mirror("static", created=LATE, running=True)

    assert (["x"], 1000) == outcome([forged, right])


def test_a_mirror_pod_that_is_created_again_keeps_the_cgroup() -> None:
    """The kubelet created it again after a deletion, and a forged one was created in between."""
    before = pod_owner(Owner("pod", "/pod", cgroup_uid=STATIC_UID), STATIC)
    again = replace(mirror("static", created=LATE), uid="another")

    assert (["static"], 1000) == outcome([mirror(), again], before=before)
    assert ([], None) == outcome([mirror()], before=before)


def test_a_static_pod_with_a_uid_like_the_api_servers_waits_for_its_containers() -> None:
    """A manifest may set any uid. Until its containers run, the pod is not mapped, but it is not refused either."""
    found = settled([mirror(of=UID)], UID)

    assert (["x"], {}) == ([each.name for each in found.waiting], refusals(found))
    assert (["x"], 10) == outcome([mirror(of=UID, running=True)], UID)


def test_a_pod_is_remembered_if_another_one_names_its_uid() -> None:
    """Its victims may be reported later. A mirror pod that is created again replaces the old one."""
    again = replace(STATIC, uid="another")
    gone, anew = DeletedPods(), DeletedPods()
    gone.update([VICTIM], [mirror(of=UID)])
    anew.update([STATIC], [again])

    assert {UID: VICTIM} == by_cgroup([mirror(of=UID), *gone.beside(None)])
    assert () == anew.beside(None)


def test_a_long_annotation_is_shortened() -> None:
    """An annotation may have 256 KiB, and is quoted in an Event and in status.json."""
    (assignment,) = settled([mirror(of="x" * 5000, by_node=False)]).assignments_to_report

    assert 64 == len(assignment.refusals[0].value)
