# SPDX-License-Identifier: Apache-2.0
"""The agent keeps objects of the API server in little memory, and only changes that matter wake its loop."""

from __future__ import annotations

import json
import select
from typing import TYPE_CHECKING

import pytest

from oompolicy.labels import LabelFilter
from oompolicy.parse import parse_namespace, parse_pod, parse_policy
from oompolicy_agent.api.collected import TrimmedObject, WatchedObjects, keep_as
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.objects.source import MAX_DELETED
from tests.unit.agent.fakes import raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def wake() -> Iterator[Wake]:
    made = Wake()
    yield made
    made.close()


def readable(wake: Wake) -> bool:
    return bool(select.select([wake.fd], [], [], 0)[0])


def test_a_wake_stays_set_until_it_is_taken(wake: Wake) -> None:
    """Setting it twice is the same as once. Setting a closed one does nothing, because its descriptor may be reused."""
    seen = [wake.take(), readable(wake)]
    wake.set()
    wake.set()
    seen += [readable(wake), wake.take(), wake.take()]
    other = Wake()
    other.close()
    other.set()

    assert [False, False, True, True, False] == seen


def test_the_first_list_wakes_even_if_it_is_empty(wake: Wake) -> None:
    """A node that waits for the policies has to learn that there are none."""
    watched = WatchedObjects(wake)
    assert not watched.synced
    watched.replaced({})

    assert (True, True, {}) == (watched.synced, wake.take(), watched.take())


def test_only_changes_wake(wake: Wake) -> None:
    """The same object again, and the deletion of an unknown object, are no changes."""
    watched = WatchedObjects(wake)
    one, other = TrimmedObject("a", "1"), TrimmedObject("a", "2")
    watched.replaced({"u": one})
    wake.take()
    watched.replaced({"u": one})
    watched.changed("u", TrimmedObject("a", "1"))
    watched.deleted("x")
    assert not wake.take()
    watched.changed("u", other)
    assert (True, {"u": other}) == (wake.take(), watched.take())
    watched.deleted("u")
    assert (True, {}) == (wake.take(), watched.take())


def test_a_taken_collection_stays_as_it_is(wake: Wake) -> None:
    """A change that comes later is in the next collection, so the loop can read this one as slowly as it needs."""
    watched = WatchedObjects(wake)
    watched.replaced({"u": TrimmedObject("a", "1")})
    taken = watched.take()
    watched.deleted("u")

    assert {"u": TrimmedObject("a", "1")} == taken


def test_a_finished_pod_is_given_once_and_not_kept(wake: Wake) -> None:
    """Its last state wakes the loop, and a later list that still has the pod does not bring it back."""
    watched = WatchedObjects(wake)
    watched.replaced({"u": TrimmedObject("a", "1"), "v": TrimmedObject("b", "1")})
    wake.take()
    watched.changed("u", TrimmedObject("a", "2", finished=True))

    assert wake.take()
    assert {"v": TrimmedObject("b", "1")} == watched.take()
    assert (TrimmedObject("a", "2", finished=True),) == watched.take_finished()
    assert () == watched.take_finished()
    watched.replaced({"u": TrimmedObject("a", "2", finished=True), "v": TrimmedObject("b", "1")})
    assert {"v": TrimmedObject("b", "1")} == watched.take()


def test_only_the_newest_finished_pods_are_remembered(wake: Wake) -> None:
    """If the loop does not take them, for example before the first list of policies, their number stays bounded."""
    watched = WatchedObjects(wake)
    for number in range(MAX_DELETED + 10):
        watched.changed(str(number), TrimmedObject(str(number), "", finished=True))
    names = [trimmed.name for trimmed in watched.take_finished()]

    assert [str(number) for number in range(10, MAX_DELETED + 10)] == names


def test_the_lag_counts_from_the_oldest_change(wake: Wake) -> None:
    """A newer change does not reset the time of the oldest one that is not taken yet."""
    watched = WatchedObjects(wake)
    assert watched.since is None
    watched.changed("u", TrimmedObject("a", "1"))
    first = watched.since
    watched.changed("u", TrimmedObject("a", "2"))

    assert first == watched.since
    watched.take()
    assert watched.since is None


def test_a_kept_object_has_its_kind() -> None:
    """Items of a list and objects with metadata only have no kind of their own. The kept text can be parsed."""
    pod, policy = raw_pod(), raw_policy()
    metadata = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    namespace = {**metadata, "metadata": {"name": "team-a", "labels": {"tier": "prod"}}}
    for raw in (pod, policy):
        del raw["kind"], raw["apiVersion"]
    policy["status"] = {"matchedPods": 4}
    kept = [
        keep_as("v1", "Pod", LabelFilter())(pod),
        keep_as("oompolicy.dev/v1alpha1", "OOMPolicy", LabelFilter())(policy),
        keep_as("v1", "Namespace", LabelFilter())(namespace),
    ]

    assert ["web-0", "web", "team-a"] == [each.name for each in kept]
    assert parse_pod(raw_pod()) == parse_pod(json.loads(kept[0].text))
    assert parse_policy(raw_policy()) == parse_policy(json.loads(kept[1].text))
    assert {"tier": "prod"} == parse_namespace(json.loads(kept[2].text)).labels


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown", "Succeeded", "Failed"])
def test_a_kept_pod_is_marked_as_finished_or_not(phase: str) -> None:
    """A pod has finished if its phase is Succeeded or Failed."""
    pod = raw_pod()
    pod["status"]["phase"] = phase

    assert keep_as("v1", "Pod", LabelFilter())(pod).finished is (phase in ("Succeeded", "Failed"))


def test_a_new_status_does_not_change_the_kept_object() -> None:
    """The operator writes the status of policies, and kubelets that of pods, all the time."""
    policy, pod = raw_policy(), raw_pod()
    keep_policy, keep_pod = (
        keep_as("oompolicy.dev/v1alpha1", "OOMPolicy", LabelFilter()),
        keep_as("v1", "Pod", LabelFilter()),
    )
    before = keep_policy(policy), keep_pod(pod)
    policy["status"] = {"matchedPods": 4}
    pod["status"]["conditions"] = [{"type": "Ready"}]
    pod["metadata"]["resourceVersion"] = "9"

    assert before == (keep_policy(policy), keep_pod(pod))
