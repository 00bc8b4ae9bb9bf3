# SPDX-License-Identifier: Apache-2.0
"""A change costs only the objects that it touches, and the result is that of a whole resolution."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from oompolicy.labels import LabelFilter
from oompolicy.manifests import manifests_from_objects
from oompolicy.model import Defaults, Unread
from oompolicy.parse import parse_pod
from oompolicy_agent.api import resolution as module
from oompolicy_agent.api.collected import TrimmedObject, keep_as
from oompolicy_agent.api.resolution import Resolution
from oompolicy_agent.objects import checkpoint
from oompolicy_agent.objects.checkpoint import Checkpoint
from oompolicy_agent.objects.known import decide, restored
from tests.unit.agent.fakes import BOOT, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

POLICY, NAMESPACE, POD = ("oompolicy.dev/v1alpha1", "OOMPolicy"), ("v1", "Namespace"), ("v1", "Pod")


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def pods(*names: str, **labels: str) -> dict[str, TrimmedObject]:
    made = [raw_pod(name, uid=uid(number)) for number, name in enumerate(names)]
    for raw in made:
        raw["metadata"]["labels"] = {"app": "web", **labels}
    return objects(POD, *made)


def objects(kind: tuple[str, str], *raws: dict[str, Any]) -> dict[str, TrimmedObject]:
    keep = keep_as(*kind, LabelFilter())
    return {raw["metadata"].get("uid", raw["metadata"]["name"]): keep(raw) for raw in raws}


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def resolved_at_once(*collections: Mapping[str, TrimmedObject]) -> object:
    """Return the resolution of the same objects as manifests."""
    raws = [json.loads(trimmed.text) for each in collections for trimmed in each.values()]
    known = decide(manifests_from_objects([(None, raw) for raw in raws]), "node-1", Defaults())
    return known.pods, known.assignments, known.policy_hash


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("abc"), st.booleans()), max_size=12))
def test_resolving_step_by_step_equals_resolving_at_once(steps: list[tuple[int, int, str, bool]]) -> None:
    """This holds for all additions, changes and deletions in all orders."""
    resolution = Resolution(Defaults())
    policies: dict[str, TrimmedObject] = {}
    spaces: dict[str, TrimmedObject] = {}
    found: dict[str, TrimmedObject] = {}
    for number, kind, text, there in steps:
        target, made = (
            (policies, objects(POLICY, named_policy(number, text))),
            (spaces, objects(NAMESPACE, namespace("team-a" if number else "other", tier=text))),
            (found, objects(POD, labelled(number, text))),
        )[kind]
        for key, trimmed in made.items():
            target[key] = trimmed
            if not there:
                del target[key]
        known = resolution.decide(policies, spaces, found)
        inhabited = {key: trimmed for key, trimmed in spaces.items() if found and trimmed.name == "team-a"}

        assert resolved_at_once(policies, spaces, found) == (known.pods, known.assignments, known.policy_hash)
        assert resolved_at_once(policies, inhabited, found) == resolved_at_once(objects_of(known.objects_json))


def objects_of(objects_json: str) -> dict[str, TrimmedObject]:
    return {str(number): TrimmedObject("", json.dumps(raw)) for number, raw in enumerate(json.loads(objects_json))}


def named_policy(number: int, text: str) -> dict[str, Any]:
    raw = raw_policy(f"p{number}", 100 * number + ord(text))
    raw["spec"]["match"] = {"namespaceSelector": {"matchLabels": {"tier": text}}}
    return raw


def labelled(number: int, text: str) -> dict[str, Any]:
    raw = raw_pod(f"pod-{number}", uid=uid(number))
    raw["metadata"]["labels"] = {"app": text}
    return raw


def test_only_the_changed_pod_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node has 110 pods, and their statuses change all the time."""
    parsed: list[str] = []

    def parse(raw: Mapping[str, Any]) -> object:
        parsed.append(raw["metadata"]["name"])
        return parse_pod(raw)

    monkeypatch.setattr(module, "parse_pod", parse)
    resolution, policies = Resolution(Defaults()), objects(POLICY, raw_policy(value=300))
    before = resolution.decide(policies, {}, pods("a", "b", "c"))
    del parsed[:]
    changed = {**pods("a", "b", "c"), uid(1): pods("x", "b", app="other")[uid(1)]}
    after = resolution.decide(policies, {}, changed)

    assert ["b"] == parsed
    assert [300, 500, 300] == [each.priority for each in after.assignments]
    assert before.assignments[0] is after.assignments[0]


def test_a_changed_policy_resolves_all_pods_again() -> None:
    """No assignment outlives the policies that it was made from."""
    resolution = Resolution(Defaults())
    first = resolution.decide(objects(POLICY, raw_policy(value=300)), {}, pods("a", "b"))
    second = resolution.decide(objects(POLICY, raw_policy(value=400)), {}, pods("a", "b"))

    assert ([300, 300], [400, 400]) == tuple([a.priority for a in known.assignments] for known in (first, second))
    assert first.policy_hash != second.policy_hash


def test_changed_defaults_resolve_all_pods_again() -> None:
    """Pods that a policy matches keep its priority."""
    resolution = Resolution(Defaults())
    policies, both = objects(POLICY, raw_policy(value=300)), objects(POD, raw_pod("a"), labelled(1, "other"))
    before = resolution.decide(policies, {}, both)
    resolution.defaults = Defaults(burstable=600)
    after = resolution.decide(policies, {}, both)

    assert ([300, 500], [300, 600]) == tuple([a.priority for a in known.assignments] for known in (before, after))


def test_an_invalid_policy_is_left_out() -> None:
    """The other policies hold, the hash does not include it, and the problem is reported."""
    resolution, good = Resolution(Defaults()), raw_policy(value=300)
    bad = raw_policy("bad", 4000)
    known = resolution.decide(objects(POLICY, good, bad), {}, pods("a"))
    alone = Resolution(Defaults()).decide(objects(POLICY, good), {}, pods("a"))

    assert alone == known
    (sentence,) = resolution.policy_problems
    assert sentence.startswith("OOMPolicy/bad: spec.priority.value: ")
    resolution.decide(objects(POLICY, good), {}, pods("a"))
    assert () == resolution.policy_problems


def test_an_unknown_field_of_a_newer_definition_leaves_the_policy_valid() -> None:
    """The API server puts the field's default into each stored policy.

    It removes fields that are not in its definition.
    """
    newer = raw_policy(value=300)
    newer["spec"] |= {"newField": "x", "match": {**newer["spec"]["match"], "newToo": {"a": 1}}}
    resolution = Resolution(Defaults())
    known = resolution.decide(objects(POLICY, newer), {}, pods("a"))

    assert [300] == [each.priority for each in known.assignments]
    assert () == resolution.policy_problems
    assert ["OOMPolicy/web: spec.newField", "OOMPolicy/web: spec.match.newToo"] == [
        sentence.partition(": unknown field")[0] for sentence in resolution.unknown_fields
    ]
    saved = Checkpoint("boot", tuple(json.loads(known.objects_json)))
    again = restored(saved, "node-1")
    assert again
    assert known.assignments == again.assignments


def test_a_pod_with_an_unreadable_field_still_has_its_policy(tmp_path: Path) -> None:
    """An invalid field lets no pod escape its policy, also in an agent that starts from the checkpoint."""
    odd = raw_pod("odd", uid=uid(9))
    odd["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1Q"}}
    resolution = Resolution(Defaults())
    known = resolution.decide(objects(POLICY, raw_policy(value=300)), {}, objects(POD, odd))

    (assignment,) = known.assignments
    field = "spec.containers[0].resources.requests.cpu"
    assert (300, (Unread(field, "'1Q' is no quantity"),)) == (assignment.priority, assignment.unread)
    assert (f"Pod/team-a/odd: {field}: '1Q' is no quantity",) == resolution.pod_problems
    checkpoint.save(tmp_path / "checkpoint.json", BOOT, known.objects_json, "[]", reported=())
    saved = checkpoint.load(tmp_path / "checkpoint.json")
    assert saved
    again = restored(saved, "node-1")
    assert again
    assert known.assignments == again.assignments


def test_only_the_first_problems_of_an_object_are_reported() -> None:
    """An object of 1.5 MB can have very many problems."""
    bad = raw_pod("bad", uid=uid(9))
    bad["spec"]["containers"] = [
        {"name": f"c{n}", "resources": {"requests": {"memory": -n}}} for n in range(1, 50)
    ]  # fmt: skip
    resolution = Resolution(Defaults())
    resolution.decide({}, {}, objects(POD, bad))

    assert 4 == len(resolution.pod_problems)
    assert "Pod/team-a/bad: and 46 more" == resolution.pod_problems[-1]


def test_an_unreadable_pod_is_left_out() -> None:
    """The entry of its QoS class's slice applies to it, and the checkpoint does not have it either."""
    bad = raw_pod("bad", uid=uid(9))
    bad["status"]["qosClass"] = "Best"
    resolution = Resolution(Defaults())
    known = resolution.decide({}, {}, {**pods("a"), **objects(POD, bad)})

    assert ["a"] == [pod.name for pod in known.pods]
    assert ["a"] == [raw["metadata"]["name"] for raw in json.loads(known.objects_json)]
    assert resolution.pod_problems[0].startswith("Pod/team-a/bad: status.qosClass: ")


def test_namespaces_without_pods_on_the_node_are_left_out() -> None:
    """A cluster may have thousands of namespaces, and the checkpoint has only those with pods here."""
    spaces = objects(NAMESPACE, namespace("team-a", tier="prod"), *(namespace(f"other-{n}") for n in range(50)))
    known = Resolution(Defaults()).decide({}, spaces, pods("a"))

    assert ["Namespace", "Pod"] == [raw["kind"] for raw in json.loads(known.objects_json)]
