# SPDX-License-Identifier: Apache-2.0
"""What informers tell is kept small, and wakes the loop only for what matters."""

from __future__ import annotations

import json
import select
from typing import TYPE_CHECKING

import pytest

from oompolicy.labels import AskedLabels
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


def test_a_wake_lasts_until_it_is_taken(wake: Wake) -> None:
    """However often it was set; a descriptor that may be another's by now is left alone."""
    seen = [wake.take(), readable(wake)]
    wake.set()
    wake.set()
    seen += [readable(wake), wake.take(), wake.take()]
    other = Wake()
    other.close()
    other.set()

    assert [False, False, True, True, False] == seen


def test_the_first_list_wakes_even_if_it_is_empty(wake: Wake) -> None:
    """That there are no policies is news, too, to a node that waits for them."""
    watched = WatchedObjects(wake)
    assert not watched.synced
    watched.replaced({})

    assert (True, True, {}) == (watched.synced, wake.take(), watched.take())


def test_only_changes_wake(wake: Wake) -> None:
    """The same again, from an event or a new list, and a deletion of what was never there, are none."""
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


def test_what_is_looked_at_changes_no_more(wake: Wake) -> None:
    """The loop may take its time."""
    watched = WatchedObjects(wake)
    watched.replaced({"u": TrimmedObject("a", "1")})
    taken = watched.take()
    watched.deleted("u")

    assert {"u": TrimmedObject("a", "1")} == taken


def test_a_pod_that_finished_is_told_once_and_not_kept(wake: Wake) -> None:
    """It wakes the loop, which takes its last state; a list that has it anyway does not bring it back."""
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


def test_of_many_finished_pods_the_last_ones_are_remembered(wake: Wake) -> None:
    """While nobody takes them, because another collection has no list yet, they do not pile up."""
    watched = WatchedObjects(wake)
    for number in range(MAX_DELETED + 10):
        watched.changed(str(number), TrimmedObject(str(number), "", finished=True))
    names = [trimmed.name for trimmed in watched.take_finished()]

    assert [str(number) for number in range(10, MAX_DELETED + 10)] == names


def test_the_oldest_change_counts(wake: Wake) -> None:
    """For the lag: until it is taken, newer ones do not make it younger."""
    watched = WatchedObjects(wake)
    assert watched.since is None
    watched.changed("u", TrimmedObject("a", "1"))
    first = watched.since
    watched.changed("u", TrimmedObject("a", "2"))

    assert first == watched.since
    watched.take()
    assert watched.since is None


def test_an_object_is_kept_as_what_it_is() -> None:
    """Items of a list, and metadata alone, do not say their kind; what is kept can be parsed."""
    pod, policy = raw_pod(), raw_policy()
    metadata = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    namespace = {**metadata, "metadata": {"name": "team-a", "labels": {"tier": "prod"}}}
    for raw in (pod, policy):
        del raw["kind"], raw["apiVersion"]
    policy["status"] = {"matchedPods": 4}
    kept = [
        keep_as("v1", "Pod", AskedLabels())(pod),
        keep_as("oompolicy.dev/v1alpha1", "OOMPolicy", AskedLabels())(policy),
        keep_as("v1", "Namespace", AskedLabels())(namespace),
    ]

    assert ["web-0", "web", "team-a"] == [each.name for each in kept]
    assert parse_pod(raw_pod()) == parse_pod(json.loads(kept[0].text))
    assert parse_policy(raw_policy()) == parse_policy(json.loads(kept[1].text))
    assert {"tier": "prod"} == parse_namespace(json.loads(kept[2].text)).labels


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown", "Succeeded", "Failed"])
def test_a_pod_is_kept_with_whether_it_has_finished(phase: str) -> None:
    """By its phase."""
    pod = raw_pod()
    pod["status"]["phase"] = phase

    assert keep_as("v1", "Pod", AskedLabels())(pod).finished is (phase in ("Succeeded", "Failed"))


def test_a_status_changes_nothing_that_is_kept() -> None:
    """The operator writes policies' statuses, and kubelets those of pods, all the time."""
    policy, pod = raw_policy(), raw_pod()
    keep_policy, keep_pod = (
        keep_as("oompolicy.dev/v1alpha1", "OOMPolicy", AskedLabels()),
        keep_as("v1", "Pod", AskedLabels()),
    )
    before = keep_policy(policy), keep_pod(pod)
    policy["status"] = {"matchedPods": 4}
    pod["status"]["conditions"] = [{"type": "Ready"}]
    pod["metadata"]["resourceVersion"] = "9"

    assert before == (keep_policy(policy), keep_pod(pod))
