# SPDX-License-Identifier: Apache-2.0
"""Until the API server has told everything the checkpoint holds; afterwards the last state does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.labels import AskedLabels
from oompolicy_agent.api.collected import keep_as
from oompolicy_agent.api.silence import Failing, OutageNotice
from oompolicy_agent.api.source import ApiSource, follow
from oompolicy_agent.objects.checkpoint import Checkpoint
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import APP, BOOT, UID, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard:
    """A source that nobody speaks to but the test."""

    def __init__(self) -> None:
        self.problems = Problems()
        settings = Settings(in_cluster=True, node="node-1")
        self.source = ApiSource(None, settings, self.problems)  # type: ignore[arg-type]

    def tell(self, what: str, *raws: dict[str, Any]) -> None:
        kind = {"policies": "OOMPolicy", "namespaces": "Namespace", "pods": "Pod"}[what]
        keep = keep_as("oompolicy.dev/v1alpha1" if kind == "OOMPolicy" else "v1", kind, AskedLabels())
        objects = {raw["metadata"].get("uid", raw["metadata"]["name"]): keep(raw) for raw in raws}
        self.source.followed[what].heard.replaced(objects)

    def tell_all(self) -> None:
        self.tell("policies", raw_policy(value=300))
        self.tell("namespaces", {"metadata": {"name": "team-a"}})
        self.tell("pods", raw_pod())

    @property
    def priorities(self) -> list[int]:
        assert self.source.known
        return [each.priority for each in self.source.known.assignments]


@pytest.fixture
def heard() -> Iterator[Heard]:
    made = Heard()
    yield made
    made.source.close()


def test_nothing_is_taken_over_before_everything_was_told(heard: Heard) -> None:
    """Pods without the policies for them would get other priorities for a moment."""
    heard.tell("policies", raw_policy(value=300))
    heard.tell("pods", raw_pod())

    assert not heard.source.reload()
    assert heard.source.known is None
    heard.source.look()
    (sentence,) = heard.problems.current[Reason.NOT_SYNCED]
    assert "the API server has not told of namespaces yet, nothing is known yet" == sentence
    heard.tell("namespaces")
    assert heard.source.reload()
    assert [300] == heard.priorities
    assert {} == heard.problems.current


def test_the_checkpoint_holds_meanwhile(heard: Heard) -> None:
    """It may have pods and policies that are gone, or lack new ones; it is better than nothing."""
    heard.source.restore(Checkpoint(BOOT, (raw_policy(value=100), raw_pod())))
    heard.tell("policies", raw_policy(value=300))
    heard.source.reload()
    heard.source.look()

    assert [100] == heard.priorities
    assert "what the checkpoint knows is enforced" in heard.problems.current[Reason.NOT_SYNCED][0]
    heard.tell_all()
    heard.source.reload()
    assert [300] == heard.priorities


def test_a_change_is_heard_and_taken_over(heard: Heard) -> None:
    """With the time since it came in, for the lag."""
    heard.tell_all()
    assert heard.source.changed()
    heard.source.reload()
    assert (False, None) == (heard.source.changed(), heard.source.since)
    heard.tell("policies", raw_policy(value=400))
    assert heard.source.changed()
    assert 0.0 < (heard.source.since or 0.0)
    heard.source.reload()

    assert [400] == heard.priorities
    assert heard.source.since is None


def test_a_pod_that_went_can_still_be_named(heard: Heard) -> None:
    """Its last victim may be reported after its object is gone."""
    heard.tell_all()
    heard.source.reload()
    heard.tell("pods")
    heard.source.reload()

    assert [] == heard.priorities
    assert [UID] == [pod.uid for pod in heard.source.nameable]


def test_a_pod_that_failed_can_still_be_named(heard: Heard) -> None:
    """With the container ids of its last status: of a container that dies at once no earlier status has one."""
    pod = raw_pod()
    del pod["status"]["containerStatuses"]
    heard.tell("policies", raw_policy(value=300))
    heard.tell("namespaces", {"metadata": {"name": "team-a"}})
    heard.tell("pods", pod)
    heard.source.reload()
    failed = raw_pod()
    failed["status"]["phase"] = "Failed"
    heard.source.followed["pods"].heard.changed(UID, keep_as("v1", "Pod", AskedLabels())(failed))
    heard.source.reload()

    assert [] == heard.priorities
    (named,) = heard.source.nameable
    assert ("Failed", (APP,)) == (named.phase, named.containers[0].container_ids)
    assert heard.source.known
    assert UID not in heard.source.known.objects_json


def test_labels_that_nobody_asked_for_are_read_again(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pod with thousands only those are kept that policies ask for."""
    times: list[str] = []
    monkeypatch.setattr(heard.source._asked, "again", lambda: times.append(""))
    pod = raw_pod()
    pod["metadata"]["labels"] |= {f"l{number}": "x" for number in range(9_000)}
    keep = keep_as("v1", "Pod", heard.source._asked)
    heard.tell("namespaces", {"metadata": {"name": "team-a"}})
    heard.tell("policies", raw_policy(value=300))
    heard.source.followed["pods"].heard.replaced({UID: keep(pod)})
    heard.source.reload()
    assert ([500], [""]) == (heard.priorities, times)
    heard.source.followed["pods"].heard.replaced({UID: keep(pod)})
    heard.source.reload()

    assert ([300], [""]) == (heard.priorities, times)
    assert len(keep(pod).text) < 1_000


def test_refused_objects_are_said_and_the_rest_holds(heard: Heard) -> None:
    """The API server keeps objects apart; one bad policy must not stop all others on all nodes."""
    heard.tell_all()
    bad = raw_pod("bad", uid="22222222-2222-2222-2222-222222222222")
    bad["status"]["qosClass"] = "Best"
    heard.tell("pods", raw_pod(), bad)
    heard.tell("policies", raw_policy(value=300), raw_policy("bad", 4000))
    heard.source.reload()

    assert [300] == heard.priorities
    assert "OOMPolicy/bad: spec.priority.value" in heard.problems.current[Reason.POLICIES_LEFT_OUT][0]
    assert "Pod/team-a/bad: status.qosClass" in heard.problems.current[Reason.POD_FIELDS_UNREADABLE][0]
    heard.tell_all()
    heard.source.reload()
    assert {} == heard.problems.current


def test_the_checkpoint_gets_what_is_known(heard: Heard) -> None:
    """Cut down, and readable as manifests are."""
    heard.tell_all()
    heard.source.reload()
    assert heard.source.known
    objects = json.loads(heard.source.known.objects_json)

    assert ["OOMPolicy", "Namespace", "Pod"] == [raw["kind"] for raw in objects]
    again = Heard()
    again.source.restore(Checkpoint(BOOT, tuple(objects)))
    assert again.source.known
    assert heard.source.known.assignments == again.source.known.assignments
    again.source.close()


@pytest.mark.parametrize(("impersonate", "headers"), [(False, {}), (True, {"Impersonate-User": "system:node:node-1"})])
def test_only_pods_are_read_as_the_node(impersonate: bool, headers: dict[str, str]) -> None:
    """Constrained impersonation is for these two verbs and nothing else; and only its own node's pods are asked for.

    A list leaves out finished ones, of which a node may have thousands.
    """
    heard = Heard()
    settings = Settings(in_cluster=True, node="node-1", impersonate_node=impersonate)
    followed = follow(None, settings, heard.source._wake, AskedLabels())  # type: ignore[arg-type]
    heard.source.close()

    assert [{}, {}, headers] == [each.informer._headers for each in followed.values()]
    assert {"fieldSelector": "spec.nodeName=node-1"} == followed["pods"].informer._selectors
    expected = "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed"
    assert {"fieldSelector": expected} == followed["pods"].informer._list_selectors
    assert [{}, {}] == [followed[name].informer._list_selectors for name in ("policies", "namespaces")]


# For how long it is deaf.


def test_a_moment_of_failing_is_no_news() -> None:
    """An API server that restarts is back in a few seconds."""
    silence = OutageNotice(30.0)
    said = [silence.look([Failing("refused", 1.0)], 100.0, 1_000.0), silence.look([], 110.0, 1_010.0)]

    assert ["", ""] == said


def test_what_lasts_is_said_with_its_beginning() -> None:
    """That is when something was last heard; the sentence stays the same as long as it lasts."""
    silence, failing = OutageNotice(30.0), [Failing("pods: refused", 45.0), Failing("namespaces: reset", 3.0)]
    said = [silence.look(failing, now, now + 1_000_000.0) for now in (100.0, 129.0)]
    quieter = [Failing("pods: refused", 85.0), Failing("namespaces: reset", 43.0)]
    said += [silence.look(quieter, now, now + 1_000_000.0) for now in (140.0, 141.0)]
    sentence = "nothing heard since 1970-01-12T13:47:35Z, the last state is enforced: pods: refused; namespaces: reset"

    assert ["", "", sentence, sentence] == said
    assert not silence.look([], 150.0, 1_000_150.0)


def test_what_was_heard_in_between_begins_anew() -> None:
    """Two short failures are no long one."""
    silence = OutageNotice(30.0)
    silence.look([Failing("refused", 5.0)], 100.0, 1_000.0)

    assert not silence.look([Failing("refused", 2.0)], 140.0, 1_040.0)
