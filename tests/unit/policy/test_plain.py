# SPDX-License-Identifier: Apache-2.0
"""The reader for plain YAML reads the output of kubectl, and never differs from the reader for all YAML."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.manifests import dialect
from oompolicy.manifests.plain import UNREAD, read_plain

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "examples/demo/pods.yaml"
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# These are pieces of YAML in any order. Most results are mistakes.
PIECES = (
    *("a: 1", "a: b", "b:", "- x", "-", "  c: d", "    - e", "  - f: g", "'q': \"r\"", "? k", ": v", "{h: i}"),
    *("&x m: n", "o: *x", "<<: *x", "p: !!str 5", "!!int q: 1", "1e3: 0x10", "~: y", "# s", "%YAML 1.1", "..."),
    *("|", "t: |", "[j, k]", "  deep: {u: [1, {w: ~}]}", "z: '22:30'", "\ty: 1", "a: 2", "1.5: x", "=: =", "[a: b]: c"),
)


def by_nodes(text: str) -> object:
    """Read with the other reader only, or return the sentence of its error."""
    try:
        dialect._check_size(text)
        documents = list(yaml.load_all(text, dialect._Loader))
    except (yaml.YAMLError, ValueError) as error:
        return error
    return documents


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("\n".join))
def test_plain_yaml_has_the_value_that_the_other_reader_finds(text: str) -> None:
    """A text with a mistake or with other YAML is left to the other reader."""
    found, expected = read_plain(f"{text}\n", LOADER, 200), by_nodes(f"{text}\n")

    if found is not UNREAD:
        assert isinstance(expected, list)
        assert repr([found]) == repr(expected or [None])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=20,
    )
)
def test_the_output_of_a_program_is_read_alike_by_both_readers(value: object) -> None:
    """PyYAML's writer uses quotes, blocks and all kinds of scalars."""
    text = yaml.safe_dump(value, allow_unicode=True)
    found, expected = read_plain(text, LOADER, 200), by_nodes(text)

    if found is not UNREAD:
        assert isinstance(expected, list)
        assert repr([found]) == repr(expected)


@pytest.mark.parametrize("text", [DEMO.read_text(), "a:\n- b: 1\n  c: 'x'\n", "{}\n", ""])
def test_output_of_kubectl_is_plain(text: str) -> None:
    assert read_plain(text, LOADER, 200) is not UNREAD


NOT_PLAIN = (
    *("a: &x 1\n", "a: !!str 1\n", "a: {}\n<<: {b: 1}\n", "a: 1\na: 2\n", "? [a]\n: b\n", "a: [\n"),
    *("1.5: a\n", "a: 1\n...\nb: 2\n"),
)


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_anything_else_is_left_to_the_other_reader(text: str) -> None:
    assert read_plain(text, LOADER, 200) is UNREAD


def test_nesting_beyond_the_limit_is_left_to_the_other_reader() -> None:
    assert read_plain("[" * 200 + "]" * 200, LOADER, 200) is not UNREAD
    assert read_plain("[" * 201 + "]" * 201, LOADER, 200) is UNREAD


def test_two_thousand_pods_are_read_within_two_seconds_and_200_mb(tmp_path: Path) -> None:
    """The time is that of the processor, of the whole command. The pods are as kubectl prints them."""
    pods = yaml.load(DEMO.read_text(), LOADER)["items"]  # noqa: S506 (a safe one)
    items = [numbered(pods[number % len(pods)], number) for number in range(2000)]
    file = tmp_path / "pods.yaml"
    with file.open("w") as stream:
        yaml.dump({"apiVersion": "v1", "kind": "List", "items": items}, stream, Dumper=_NoAliases)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", MEASURED, "resolve", "-o", "json", "-f", str(file)]
    path = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert 2000 == done.stdout.count('"pod": "pod-')
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 2.0
    assert int(done.stderr) * 1024 <= 200 * 10**6


def numbered(pod: dict[str, dict[str, object]], number: int) -> dict[str, object]:
    """Return the pod with a name and a uid of its own."""
    uid = f"28337f9e-2a49-4d28-abb5-{number:012d}"
    return {**pod, "metadata": {**pod["metadata"], "name": f"pod-{number}", "uid": uid}}


MEASURED = """
import sys
from pathlib import Path
from oompolicy.cli import main
status = main(sys.argv[1:])
sys.stderr.write(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(status)
"""
"""A command, and a program around it that reports the most memory that it used, in KiB.

ru_maxrss would count the memory of the process that started it, because the kernel keeps that number over execve().
"""


class _NoAliases(yaml.CSafeDumper):
    def ignore_aliases(self, _: object) -> bool:
        return True
