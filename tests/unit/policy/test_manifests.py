# SPDX-License-Identifier: Apache-2.0
"""Objects are read from files and directories, and each unreadable one is a problem."""

import json
from pathlib import Path

import pytest
import yaml

from oompolicy.manifests import Manifests, load_manifests, manifests_from_checkpoint, manifests_from_objects
from oompolicy.model import Namespace, OOMPolicy, Pod
from oompolicy.oomsettings import Mode, OOMSettings
from tests.unit.policy.factories import UID, raw_pod, raw_policy, raw_settings

POLICY = raw_policy({"priority": {"value": 900}})
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
POD = raw_pod()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


def problems_of(*paths: Path) -> list[str]:
    return [str(problem) for problem in load_manifests(paths).problems]


def names(manifests: Manifests) -> list[str]:
    records: list[OOMPolicy | Namespace | Pod] = [*manifests.policies, *manifests.namespaces, *manifests.pods]
    return [record.name for record in records]


def test_a_file_may_have_many_documents(file: Path) -> None:
    """Documents without content are skipped."""
    file.write_text("---\n---\n" + yaml.safe_dump_all([POLICY, NAMESPACE, POD]) + "---\n# nothing\n")

    manifests = load_manifests([file])
    assert (["databases", "shop", "postgres-0"], ()) == (names(manifests), manifests.problems)
    assert ((str(file), POLICY), (str(file), NAMESPACE), (str(file), POD)) == manifests.objects


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": "v1", "kind": "List", "items": [NAMESPACE]},
        {"apiVersion": "v1", "kind": "NamespaceList", "items": [NAMESPACE]},
        {"apiVersion": "v1", "kind": "NamespaceList", "items": [{"metadata": {"name": "shop"}}]},
    ],
)
@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps])
def test_the_items_of_lists_are_read(file: Path, document: object, dump: object) -> None:
    """kubectl prints the kind of each item, and the API server leaves it out. Both forms are read."""
    assert callable(dump)
    file.write_text(dump(document))

    manifests = load_manifests([file])
    assert ((Namespace("shop"),), ()) == (manifests.namespaces, manifests.problems)
    assert "Namespace" == manifests.objects[0][1]["kind"]


def test_settings_are_read_once(file: Path) -> None:
    """A checkpoint is read without the fields of a newer version. A second object is a problem."""
    raw = raw_settings({"mode": "Audit"})
    file.write_text(yaml.safe_dump_all([raw, raw]))
    manifests = load_manifests([file])
    newer = manifests_from_checkpoint([(None, raw_settings({"mode": "Audit", "newField": 1}))])

    assert OOMSettings(Mode.AUDIT) == manifests.settings == newer.settings
    assert [f"{file}: OOMSettings/cluster: is defined twice, first in {file}"] == [str(p) for p in manifests.problems]


def test_an_off_without_quotes_is_a_problem(file: Path) -> None:
    """kubectl reads it as a boolean too."""
    file.write_text(yaml.safe_dump(raw_settings({"mode": "Off"})).replace("'Off'", "Off"))

    (problem,) = problems_of(file)
    assert problem.endswith("OOMSettings/cluster: spec.mode: must be a string, not a boolean; put it in quotes")


def test_objects_can_be_read_again(file: Path) -> None:
    """The agent keeps them on disk as JSON and reads them at the next start."""
    stamped = {**POD, "metadata": {**POD["metadata"], "creationTimestamp": "2026-11-22T20:00:00Z"}}
    file.write_text(yaml.safe_dump_all([POLICY, NAMESPACE, stamped]).replace("'2026", "2026").replace("00Z'", "00Z"))

    first = load_manifests([file])
    assert "creationTimestamp: 2026-11-22T20:00:00Z" in file.read_text()
    assert first == manifests_from_objects((name, raw) for name, raw in json.loads(json.dumps(first.objects)))


def test_a_directory_is_read_without_hidden_and_nested_files(tmp_path: Path) -> None:
    """A mounted ConfigMap has hidden directories beside its files."""
    for name in ("b.yml", "a.yaml", "c.json"):
        (tmp_path / name).write_text(json.dumps({**NAMESPACE, "metadata": {"name": name[0]}}))
    (tmp_path / "..data").mkdir()
    (tmp_path / "nested.yaml").mkdir()
    for ignored in (".hidden.yaml", "notes.txt", "..data/d.yaml", "nested.yaml/e.yaml"):
        (tmp_path / ignored).write_text("}")

    manifests = load_manifests([tmp_path])
    assert (["a", "b", "c"], ()) == (names(manifests), manifests.problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: 1\nb: [\n", "line 3: did not find expected node content"),
        (b"a: 1\na: 2\n", "line 2: the key 'a' is given twice"),
        (b'{"a": 1, "a": 2}', "the key 'a' is given twice"),
        (b"a: !!binary aGVsbG8=\n", "line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:binary'"),
        (b"a: !!bool maybe\n", "holds a value that cannot be read: 'maybe'"),
        (b"\xff\xfe", "is not UTF-8: invalid start byte at byte 0"),
        (b"[\n" * 100_000, "line 201: is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b"a: &x [*x]\n", "line 1: *x is within itself"),
        (b"- a\n", "must hold objects, not a list"),
        (b"hello\n", "must hold objects, not a string"),
    ],
)
def test_an_unreadable_file_is_a_problem(file: Path, content: bytes, expected: str) -> None:
    """The problem has the file, and the line if there is one."""
    file.write_bytes(content)

    assert [f"{file}: {expected}"] == problems_of(file)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """The other files are read."""
    (tmp_path / "a.yaml").write_text(json.dumps(NAMESPACE))

    manifests = load_manifests([tmp_path / "none", tmp_path / "a.yaml"])
    assert [f"{tmp_path}/none: cannot be read: No such file or directory"] == [str(p) for p in manifests.problems]
    assert ["shop"] == names(manifests)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {**POD, "kind": "Deployment"},
            "Deployment/postgres-0: kind: must be one of OOMPolicy, OOMSettings, Namespace, Pod, not 'D",
        ),
        ({"metadata": {"name": "a"}}, "a: kind: must be one of OOMPolicy, OOMSettings, Namespace, Pod, but is missing"),
        ({**POLICY, "apiVersion": "v1"}, "OOMPolicy/databases: apiVersion: must be oompolicy.dev/v1alpha1, not 'v1'"),
        ({**POLICY, "spec": {"priority": {"value": 1001}}}, "OOMPolicy/databases: spec.priority.value: must be from 0"),
        ({**POD, "metadata": {"name": "a"}}, "Pod/default/a: metadata.uid: is required"),
        ({"kind": "List", "items": None}, "List: items: must be a list, not null"),
        ({"kind": "List", "items": [7]}, "List: items[0]: must be an object, not an integer"),
        (
            {"kind": "List", "items": [{"kind": "List"}]},
            "List: kind: must be one of OOMPolicy, OOMSettings, Namespace, Pod",
        ),
    ],
)
def test_a_wrong_object_is_a_problem(file: Path, document: object, expected: str) -> None:
    """The problem has file, object and field. An object of a foreign kind is a problem too."""
    file.write_text(yaml.safe_dump(document))

    (problem,) = problems_of(file)
    assert problem.startswith(f"{file}: {expected}")


def test_a_wrong_object_does_not_affect_the_others(file: Path) -> None:
    """The valid objects of a file are used."""
    file.write_text(yaml.safe_dump_all([{**POLICY, "spec": {}}, NAMESPACE]))

    manifests = load_manifests([file])
    assert (["shop"], 1, 1) == (names(manifests), len(manifests.problems), len(manifests.objects))


def test_the_second_object_of_a_name_is_refused(tmp_path: Path) -> None:
    """The first object is kept, and the second is a problem, because the choice would be random."""
    for name, value in (("a.yaml", 1), ("b.yaml", 2)):
        (tmp_path / name).write_text(json.dumps(raw_policy({"priority": {"value": value}})))

    expected = f"{tmp_path}/b.yaml: OOMPolicy/databases: is defined twice, first in {tmp_path}/a.yaml"
    assert [expected] == problems_of(tmp_path)


def test_half_of_a_surrogate_pair_is_read_as_kubernetes_does(tmp_path: Path) -> None:
    """JSON may escape it, in keys and in values, and UTF-8 cannot hold it. A whole pair is one character."""
    annotations = r'{"oompolicy.dev/priority": "\ud800", "\udc00x": "a\ud83d\ude00\udbff\u0041"}'
    metadata = '{"name": "a", "uid": "u", "annotations": ' + annotations + "}"
    pod = '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}]}, "metadata": ' + metadata + "}"
    (tmp_path / "pod.json").write_text(pod)
    (found,) = load_manifests([tmp_path]).pods

    assert {"oompolicy.dev/priority": "\ufffd", "\ufffdx": "a\U0001f600\ufffdA"} == found.annotations


def test_two_pods_cannot_have_one_uid() -> None:
    """Two pods of one uid would have the same cgroup."""
    other = raw_pod(metadata={"name": "postgres-1"})

    (problem,) = manifests_from_objects([(None, POD), (None, other)]).problems
    assert f"Pod/shop/postgres-1: uid {UID} is defined twice" == str(problem)


def test_pods_of_one_name_are_in_different_namespaces() -> None:
    """Names are unique within a namespace only."""
    other = raw_pod(metadata={"namespace": "other", "uid": "another"})

    assert () == manifests_from_objects([(None, POD), (None, other)]).problems
