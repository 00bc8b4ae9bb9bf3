# SPDX-License-Identifier: Apache-2.0
"""Until the API server has told everything the checkpoint holds; afterwards the last state does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.labels import AskedLabels
from oompolicy_agent.api.collected import keep_as
from oompolicy_agent.api.outage import FailingWatch, OutageNotice
from oompolicy_agent.api.source import ApiSource, follow
from oompolicy_agent.objects.checkpoint import Checkpoint
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import APP, BOOT, UID, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cluster:
    """A source that nobody speaks to but the test."""

    def __init__(self) -> None:
        self.problems = Problems()
        settings = Settings(in_cluster=True, node="node-1")
        self.source = ApiSource(None, settings, self.problems)  # type: ignore[arg-type]

    def send(self, what: str, *raws: dict[str, Any]) -> None:
        kind = {"policies": "OOMPolicy", "namespaces": "Namespace", "pods": "Pod"}[what]
        keep = keep_as("oompolicy.dev/v1alpha1" if kind == "OOMPolicy" else "v1", kind, AskedLabels())
        objects = {raw["metadata"].get("uid", raw["metadata"]["name"]): keep(raw) for raw in raws}
        self.source.followed[what].objects.replaced(objects)

    def send_all(self) -> None:
        self.send("policies", raw_policy(value=300))
        self.send("namespaces", {"metadata": {"name": "team-a"}})
        self.send("pods", raw_pod())

    @property
    def priorities(self) -> list[int]:
        assert self.source.known
        return [each.priority for each in self.source.known.assignments]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.source.close()


def test_nothing_is_taken_over_before_everything_was_told(cluster: Cluster) -> None:
    """Pods without the policies for them would get other priorities for a moment."""
    cluster.send("policies", raw_policy(value=300))
    cluster.send("pods", raw_pod())

    assert not cluster.source.reload()
    assert cluster.source.known is None
    cluster.source.poll()
    (sentence,) = cluster.problems.current[Reason.NOT_SYNCED]
    assert (
        "waiting for the first complete list of namespaces from the API server, there is no usable checkpoint"
        == sentence
    )
    cluster.send("namespaces")
    assert cluster.source.reload()
    assert [300] == cluster.priorities
    assert {} == cluster.problems.current


def test_the_checkpoint_holds_meanwhile(cluster: Cluster) -> None:
    """It may have pods and policies that are gone, or lack new ones; it is better than nothing."""
    cluster.source.restore(Checkpoint(BOOT, (raw_policy(value=100), raw_pod())))
    cluster.send("policies", raw_policy(value=300))
    cluster.source.reload()
    cluster.source.poll()

    assert [100] == cluster.priorities
    assert "priorities from the checkpoint stay in force" in cluster.problems.current[Reason.NOT_SYNCED][0]
    cluster.send_all()
    cluster.source.reload()
    assert [300] == cluster.priorities


def test_a_change_is_heard_and_taken_over(cluster: Cluster) -> None:
    """With the time since it came in, for the lag."""
    cluster.send_all()
    assert cluster.source.changed()
    cluster.source.reload()
    assert (False, None) == (cluster.source.changed(), cluster.source.since)
    cluster.send("policies", raw_policy(value=400))
    assert cluster.source.changed()
    assert 0.0 < (cluster.source.since or 0.0)
    cluster.source.reload()

    assert [400] == cluster.priorities
    assert cluster.source.since is None


def test_a_pod_that_went_can_still_be_named(cluster: Cluster) -> None:
    """Its last victim may be reported after its object is gone."""
    cluster.send_all()
    cluster.source.reload()
    cluster.send("pods")
    cluster.source.reload()

    assert [] == cluster.priorities
    assert [UID] == [pod.uid for pod in cluster.source.pods_for_naming]


def test_a_pod_that_failed_can_still_be_named(cluster: Cluster) -> None:
    """With the container ids of its last status: of a container that dies at once no earlier status has one."""
    pod = raw_pod()
    del pod["status"]["containerStatuses"]
    cluster.send("policies", raw_policy(value=300))
    cluster.send("namespaces", {"metadata": {"name": "team-a"}})
    cluster.send("pods", pod)
    cluster.source.reload()
    failed = raw_pod()
    failed["status"]["phase"] = "Failed"
    cluster.source.followed["pods"].objects.changed(UID, keep_as("v1", "Pod", AskedLabels())(failed))
    cluster.source.reload()

    assert [] == cluster.priorities
    (named,) = cluster.source.pods_for_naming
    assert ("Failed", (APP,)) == (named.phase, named.containers[0].container_ids)
    assert cluster.source.known
    assert UID not in cluster.source.known.objects_json


def test_labels_that_nobody_asked_for_are_read_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pod with thousands only those are kept that policies ask for."""
    times: list[str] = []
    monkeypatch.setattr(cluster.source._asked, "again", lambda: times.append(""))
    pod = raw_pod()
    pod["metadata"]["labels"] |= {f"l{number}": "x" for number in range(9_000)}
    keep = keep_as("v1", "Pod", cluster.source._asked)
    cluster.send("namespaces", {"metadata": {"name": "team-a"}})
    cluster.send("policies", raw_policy(value=300))
    cluster.source.followed["pods"].objects.replaced({UID: keep(pod)})
    cluster.source.reload()
    assert ([500], [""]) == (cluster.priorities, times)
    cluster.source.followed["pods"].objects.replaced({UID: keep(pod)})
    cluster.source.reload()

    assert ([300], [""]) == (cluster.priorities, times)
    assert len(keep(pod).text) < 1_000


def test_refused_objects_are_said_and_the_rest_holds(cluster: Cluster) -> None:
    """The API server keeps objects apart; one bad policy must not stop all others on all nodes."""
    cluster.send_all()
    bad = raw_pod("bad", uid="22222222-2222-2222-2222-222222222222")
    bad["status"]["qosClass"] = "Best"
    cluster.send("pods", raw_pod(), bad)
    cluster.send("policies", raw_policy(value=300), raw_policy("bad", 4000))
    cluster.source.reload()

    assert [300] == cluster.priorities
    assert "OOMPolicy/bad: spec.priority.value" in cluster.problems.current[Reason.POLICIES_LEFT_OUT][0]
    assert "Pod/team-a/bad: status.qosClass" in cluster.problems.current[Reason.POD_FIELDS_UNREADABLE][0]
    cluster.send_all()
    cluster.source.reload()
    assert {} == cluster.problems.current


def test_the_checkpoint_gets_what_is_known(cluster: Cluster) -> None:
    """Cut down, and readable as manifests are."""
    cluster.send_all()
    cluster.source.reload()
    assert cluster.source.known
    objects = json.loads(cluster.source.known.objects_json)

    assert ["OOMPolicy", "Namespace", "Pod"] == [raw["kind"] for raw in objects]
    again = Cluster()
    again.source.restore(Checkpoint(BOOT, tuple(objects)))
    assert again.source.known
    assert cluster.source.known.assignments == again.source.known.assignments
    again.source.close()


@pytest.mark.parametrize(("impersonate", "headers"), [(False, {}), (True, {"Impersonate-User": "system:node:node-1"})])
def test_only_pods_are_read_as_the_node(impersonate: bool, headers: dict[str, str]) -> None:
    """Constrained impersonation is for these two verbs and nothing else; and only its own node's pods are asked for.

    A list leaves out finished ones, of which a node may have thousands.
    """
    cluster = Cluster()
    settings = Settings(in_cluster=True, node="node-1", impersonate_node=impersonate)
    followed = follow(None, settings, cluster.source._wake, AskedLabels())  # type: ignore[arg-type]
    cluster.source.close()

    assert [{}, {}, headers] == [each.informer._headers for each in followed.values()]
    assert {"fieldSelector": "spec.nodeName=node-1"} == followed["pods"].informer._selectors
    expected = "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed"
    assert {"fieldSelector": expected} == followed["pods"].informer._list_selectors
    assert [{}, {}] == [followed[name].informer._list_selectors for name in ("policies", "namespaces")]


# Outages of the API server.


def test_a_moment_of_failing_is_no_news() -> None:
    """An API server that restarts is back in a few seconds."""
    notice = OutageNotice(30.0)
    notices = [notice.update([FailingWatch("refused", 1.0)], 100.0, 1_000.0), notice.update([], 110.0, 1_010.0)]

    assert [None, None] == notices


def test_what_lasts_is_said_with_its_beginning() -> None:
    """That is the time of the last reply; the sentence stays the same as long as it lasts."""
    notice, failing = OutageNotice(30.0), [FailingWatch("pods: refused", 45.0), FailingWatch("namespaces: reset", 3.0)]
    notices = [notice.update(failing, now, now + 1_000_000.0) for now in (100.0, 129.0)]
    quieter = [FailingWatch("pods: refused", 85.0), FailingWatch("namespaces: reset", 43.0)]
    notices += [notice.update(quieter, now, now + 1_000_000.0) for now in (140.0, 141.0)]
    sentence = "no reply from the API server since 1970-01-12T13:47:35Z, the last state stays in force: "
    sentence += "pods: refused; namespaces: reset"

    assert [None, None, sentence, sentence] == notices
    assert not notice.update([], 150.0, 1_000_150.0)


def test_what_was_heard_in_between_begins_anew() -> None:
    """Two short failures are no long one."""
    notice = OutageNotice(30.0)
    notice.update([FailingWatch("refused", 5.0)], 100.0, 1_000.0)

    assert not notice.update([FailingWatch("refused", 2.0)], 140.0, 1_040.0)
