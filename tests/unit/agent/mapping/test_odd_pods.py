# SPDX-License-Identifier: Apache-2.0
"""The priority that an agent enforces for a pod of the API server depends on no unreadable field."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from oompolicy.labels import LabelFilter
from oompolicy.model import Defaults, QOSClass
from oompolicy_agent.api.collected import keep_as
from oompolicy_agent.api.resolution import Resolution
from tests.unit.agent.fakes import UID

if TYPE_CHECKING:
    from oompolicy.model import Assignment
    from oompolicy_agent.objects.known import ResolvedPods

QUANTITIES = st.sampled_from(["1", "250m", "1e000", "1e400", "64Mi", "8Ei", "0"])
AMOUNTS = st.none() | st.dictionaries(st.sampled_from(["cpu", "memory", "example.com/gpu"]), QUANTITIES)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
DECIDING = {
    ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid"), ("metadata", "labels"),
    ("metadata", "annotations"), ("spec", "priorityClassName"), ("status", "qosClass"),
}  # fmt: skip
Path = tuple[str | int, ...]


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """Draw pods as the API server gives them, always with a QoS class."""
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    containers = [{"name": name, "resources": {"requests": draw(AMOUNTS), "limits": draw(AMOUNTS)}} for name in names]
    statuses = [{"name": name, "containerID": f"containerd://{name}", "lastState": {}} for name in names]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "a",
            "namespace": "shop",
            "uid": UID,
            "labels": {"app": draw(st.sampled_from("xy"))},
            "annotations": {"oompolicy.dev/priority": draw(st.sampled_from(["450", "2000"]))},
        },
        "spec": {
            "nodeName": "n",
            "priorityClassName": draw(st.sampled_from(["critical", "batch"])),
            "containers": containers,
            "initContainers": [{"name": "i", "restartPolicy": "Always", "resources": {"limits": draw(AMOUNTS)}}],
            "resources": {"requests": draw(AMOUNTS), "limits": draw(AMOUNTS)},
            "overhead": draw(AMOUNTS),
        },
        "status": {
            "phase": "Running",
            "qosClass": draw(st.sampled_from(QOSClass)).value,
            "containerStatuses": statuses,
        },
    }


MATCHES = st.sampled_from([{}, {"podSelector": {"matchLabels": {"app": "x"}}}, {"qosClasses": ["Guaranteed"]}])
RULES = st.sampled_from(
    [{"value": 300}, {"byQOSClass": {"guaranteed": 700}}, {"byPriorityClass": {"critical": 800, "default": 250}}]
)
OPTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"containers": [{"name": "a", "offset": 50}, {"name": "i", "offset": -50}]},
        {"override": {"min": 400, "max": 500}},
    ]
)


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    spec = {"match": draw(MATCHES), "priority": draw(RULES), **draw(OPTIONS)}
    return {"metadata": {"name": "p", "uid": "p"}, "spec": spec}


def decided(policy: dict[str, Any], pod: dict[str, Any]) -> ResolvedPods:
    label_filter = LabelFilter()
    kept = keep_as("oompolicy.dev/v1alpha1", "OOMPolicy", label_filter)(policy)
    return Resolution(Defaults()).decide({"p": kept}, {}, {UID: keep_as("v1", "Pod", label_filter)(pod)})


def assigned(policy: dict[str, Any], pod: dict[str, Any]) -> Assignment:
    (assignment,) = decided(policy, pod).assignments
    return assignment


def paths(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of all fields that decide nothing and contain none that does, also in lists."""
    found: list[Path] = []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        here = (*path, key)
        if here in DECIDING:
            continue
        if not any(deciding[: len(here)] == here for deciding in DECIDING):
            found.append(here)
        found += paths(inner, here)
    return found


def changed(raw: dict[str, Any], path: Path, junk: object) -> dict[str, Any]:
    made = copy.deepcopy(raw)
    holder: Any = made
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = junk
    return made


@given(pods(), policies(), st.data())
def test_no_other_field_of_a_pod_changes_its_priority(
    raw: dict[str, Any], policy: dict[str, Any], data: st.DataObject
) -> None:
    """The other fields may have any value. A container that still has its name keeps its own priority too."""
    odd = changed(raw, data.draw(st.sampled_from(paths(raw))), data.draw(JUNK))
    before, after = assigned(policy, raw), assigned(policy, odd)

    assert (before.priority, before.reason, before.policy) == (after.priority, after.reason, after.policy)
    expected = {each.name: each.priority for each in before.containers}
    assert all(each.priority == expected[each.name] for each in after.containers if each.name in expected)
    (pod,) = decided(policy, odd).pods
    assert 0 <= pod.memory_request < 2**63


@given(pods(), policies(), st.sampled_from(["1Q", "five", "-1", "1.2.3", "--1", True, [], {"a": "b"}]))
def test_an_unreadable_field_is_named(raw: dict[str, Any], policy: dict[str, Any], junk: object) -> None:
    """The pod's owner gets the path of the field."""
    odd = changed(raw, ("spec", "overhead"), {"memory": junk})

    assert () == assigned(policy, raw).unread
    assert ["spec.overhead.memory"] == [each.field for each in assigned(policy, odd).unread]
