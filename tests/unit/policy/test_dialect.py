# SPDX-License-Identifier: Apache-2.0
"""YAML and JSON have the same meaning as in kubectl. `tests/cluster/test_reading.py` compares with kubectl's code."""

import json
from pathlib import Path

import pytest
import yaml

from oompolicy.cli import main
from oompolicy.manifests.dialect import parse_documents
from tests.unit.policy.factories import raw_pod, raw_policy


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        ("22:30", "22:30"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("-1:30", "-1:30"),
        ("1e3", 1000),
        ("1e400", "1e400"),
        ("08", 8),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("_1", "_1"),
        ("1.0", 1),
        ("1.5", 1.5),
        ("y", True),
        ("n", False),
        ("off", False),
        ("~", None),
        ("2026-11-28", "2026-11-28"),
        ("=", "="),
        ("18446744073709551616", 2.0**64),
        ("'1e3'", "1e3"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
    ],
)
def test_a_scalar_has_kubectls_value(scalar: str, expected: object) -> None:
    """Each scalar has the type that kubectl gives it."""
    (document,) = parse_documents(f"a: {scalar}\n")
    assert isinstance(document, dict)
    assert (type(expected), expected) == (type(document["a"]), document["a"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1}\n{"a":2}\n{"a":3}\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ('{"a":1}{"a":2}', [{"a": 1}, {"a": 2}]),
        ('{"a":1}\n---\nb: 2\n', [{"a": 1}, {"b": 2}]),
        ('{"a":1}\n  b: 2\n  c: 3\n', [{"a": 1}, {"b": 2, "c": 3}]),
        ("{a: 1}\n---\n{b: 2}", [{"a": 1}, {"b": 2}]),
        ('{"a":NaN}', [{"a": "NaN"}]),
        ('{"a":1e3,"b":1.0,"c":18446744073709551615}', [{"a": 1000, "b": 1, "c": 2.0**64}]),
        ('{"\\ud800":["\\udc00x","\\ud83d\\ude00"]}', [{"\ufffd": ["\ufffdx", "\U0001f600"]}]),
        ("a: 1\n--- # b\nb: 2\n---\n", [{"a": 1}, {"b": 2}]),
        ("\ufeffa: 1\n", [{"a": 1}]),
        ("1: a\n0x10: b\ny: c\n22:30: d\n", [{"1": "a", "16": "b", "true": "c", "22:30": "d"}]),
        ("x: &a {k: 1, l: 1}\nw: {<<: *a, k: 2}\n", [{"x": {"k": 1, "l": 1}, "w": {"k": 2, "l": 1}}]),
        ("x: &a {<<: {k: 1}, k: 2}\nw: {<<: *a}\n", [{"x": {"k": 2}, "w": {"k": 2}}]),
        ("x: &a {k: 1}\nw: {<<: [*a, {k: 2}]}\n", [{"x": {"k": 1}, "w": {"k": 1}}]),
    ],
)
def test_documents_are_those_of_kubectl(text: str, expected: list[object]) -> None:
    """A text has JSON objects, YAML, or both. Keys are strings, and a written key wins over a merged one."""
    assert expected == parse_documents(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--- {a: 1}\n", "line 1: only a comment may follow '---', not '{a: 1}'"),
        ("a: 1\n---\nb: 2\nb: 3\n", "line 4: the key 'b' is given twice"),
        ("1: a\n'1': b\n", "line 2: the key '1' is given twice"),
        ("x: &a {k: 1}\ny: {k: 2, <<: *a}\n", "line 1: the key 'k' is given twice"),
        ("1.10: a\n", "line 1: the key 1.10 must be a string; put it in quotes"),
        ("null: a\n", "line 1: the key null must be a string; put it in quotes"),
        ("[a]: b\n", "line 1: a key must be a string"),
        ("a: .inf\n", "line 1: inf is no number to JSON"),
        ("a: {<<: 5}\n", "line 1: only a mapping can be merged"),
        ('{"a":1e400}', "inf is no number to JSON"),
        ('{"a":1}\n{"b":2}\n{c: 3}\n', "line 3: Expecting property name enclosed in double quotes"),
        ("a: 1\n...\nb: 2\n", "line 3: did not find expected <document start>"),
        ("a: &x 1\nb: &x 2\n", "line 2: &x is given twice"),
        ("a: ! 5\n", "line 1: could not determine a constructor for the tag '!'"),
    ],
)
def test_text_that_kubectl_refuses_or_drops_is_refused(text: str, message: str) -> None:
    """The message has the line, counted from the beginning of the file."""
    with pytest.raises((yaml.YAMLError, ValueError)) as caught:
        parse_documents(text)

    assert message == str(caught.value)


def test_a_few_lines_of_aliases_do_not_fill_the_memory() -> None:
    """Ten lines of them are a billion values."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]

    with pytest.raises(yaml.YAMLError, match="line 6: grows too large by its aliases"):
        parse_documents("\n".join(lines))


def test_lint_and_the_cluster_refuse_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10:50 is a string, never 650."""
    file = tmp_path / "a.yaml"
    file.write_text(json.dumps(raw_policy({"priority": {"value": "X"}})).replace('"X"', "10:50").replace('"', ""))

    assert 1 == main(["lint", str(file)])
    assert "spec.priority.value: must be an integer from 0 to 1000, not a string" in capsys.readouterr().out


def test_annotations_are_strings_if_they_are_for_kubectl(tmp_path: Path) -> None:
    """A MAC address or a time of day needs no quotes."""
    pod = raw_pod(metadata={"annotations": {"example.com/mac": "MAC", "example.com/at": "TIME"}})
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(pod).replace("MAC", "52:54:00:12:34:56").replace("TIME", "22:30"))

    assert 0 == main(["lint", str(file)])
