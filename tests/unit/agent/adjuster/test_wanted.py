# SPDX-License-Identifier: Apache-2.0
"""The agent's request is read whole or not at all, and a bad file changes nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy_agent.adjuster import wanted
from oompolicy_agent.adjuster.wanted import LIMIT, Mode, Wanted, WantedFile

REQUESTS = st.builds(
    Wanted,
    st.sampled_from(get_args(Mode)),
    st.integers(0, 1000),
    st.dictionaries(st.integers(1, (1 << 64) - 1), st.integers(0, 1000), max_size=20),
    st.dictionaries(st.integers(1, (1 << 64) - 1), st.booleans(), max_size=20),
    st.booleans(),
)
REQUEST = Wanted("Enforce", 1000, {4711: 200, 4712: 500})
GOOD: dict[str, Any] = {"version": 1, "mode": "Audit", "hostPriority": 900, "cgroups": {"7": 0}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wanted.json"


@given(REQUESTS)
def test_a_request_is_read_as_it_was_written(written: Wanted) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wanted.json"
        wanted.write(path, written)
        file = WantedFile(path)

        assert file.read()
        assert written == file.current
        assert "" == file.problem


def test_a_request_without_the_kernels_log_has_no_key_for_it(path: Path) -> None:
    """An adjuster of an earlier release refuses a key that it does not know, and most nodes do not need this one."""
    wanted.write(path, REQUEST)
    assert "kernelLog" not in json.loads(path.read_bytes())
    wanted.write(path, Wanted("Off", 1000, {}, kernel_log=True))
    assert json.loads(path.read_bytes())["kernelLog"] is True


def test_a_reader_of_the_earlier_file_finds_it_whole(path: Path) -> None:
    """The file is replaced and not overwritten, and everybody can read it."""
    wanted.write(path, REQUEST)
    with path.open("rb") as earlier:
        wanted.write(path, Wanted("Off", 0, {}))

        assert REQUEST == wanted.parse(earlier.read())
    assert 0o644 == path.stat().st_mode & 0o777
    assert [path] == list(path.parent.iterdir())


def test_only_a_changed_request_is_news(path: Path) -> None:
    wanted.write(path, REQUEST)
    file = WantedFile(path)

    assert file.read()
    wanted.write(path, REQUEST)
    assert not file.read()
    wanted.write(path, Wanted("Enforce", 1000, {4711: 200}))
    assert file.read()


def test_a_file_that_is_cut_anywhere_is_refused(path: Path) -> None:
    """Every part of a file but its last line break is needed, and the last good request stays."""
    wanted.write(path, REQUEST)
    whole = path.read_bytes()
    file = WantedFile(path)
    file.read()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])

        assert not file.read()
        assert REQUEST == file.current
        assert f"the request of the agent cannot be used: {path}: " in file.problem
        assert file.problem.endswith("; the last good request stays in force")
    path.write_bytes(whole)
    assert not file.read()
    assert "" == file.problem


def test_before_the_first_request_nothing_is_wanted(path: Path) -> None:
    """A missing file is a problem with its reason."""
    file = WantedFile(path)

    assert not file.read()
    assert file.current is None
    assert file.problem == (
        f"the request of the agent cannot be used: [Errno 2] No such file or directory: '{path}'; no score is written"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "its version is not 1: agent and adjuster must be of the same release"),
        ({"version": None}, "its version is not 1: agent and adjuster must be of the same release"),
        ({"more": 1}, "its keys are not cgroups, hostPriority, mode, version"),
        ({"mode": "enforce"}, "its mode is none of Enforce, Audit, Off"),
        ({"mode": ["Off"]}, "its mode is none of Enforce, Audit, Off"),
        ({"hostPriority": 1001}, "hostPriority has no priority of 0 to 1000"),
        ({"hostPriority": True}, "hostPriority has no priority of 0 to 1000"),
        ({"cgroups": [7]}, "cgroups is no object"),
        ({"cgroups": {"7": -1}}, "cgroup 7 has no priority of 0 to 1000"),
        ({"cgroups": {"7": 1.5}}, "cgroup 7 has no priority of 0 to 1000"),
        ({"cgroups": {"7": "200"}}, "cgroup 7 has no priority of 0 to 1000"),
        ({"cgroups": {"007": 1}}, "'007' is no cgroup id"),
        ({"cgroups": {"0": 1}}, "'0' is no cgroup id"),
        ({"cgroups": {str(1 << 64): 1}}, f"'{1 << 64}' is no cgroup id"),
        ({"cgroups": {"²": 1}}, "'²' is no cgroup id"),
        ({"cgroups": {"/": 1}}, "'/' is no cgroup id"),
        ({"kernelLog": 1}, "kernelLog is neither true nor false"),
        ({"kernelLog": None}, "kernelLog is neither true nor false"),
        ({"killGroups": [7]}, "killGroups is no object"),
        ({"killGroups": None}, "killGroups is no object"),
        ({"killGroups": {"7": 1}}, "killGroups 7 is neither true nor false"),
        ({"killGroups": {"007": True}}, "'007' is no cgroup id"),
    ],
)
def test_an_unknown_or_wrong_part_is_refused(change: dict[str, Any], reason: str) -> None:
    assert wanted.parse(json.dumps(GOOD).encode())
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        wanted.parse(json.dumps(GOOD | change).encode())


def test_an_agent_without_kill_scopes_need_not_write_the_key() -> None:
    """A request of an earlier agent asks for no kill group."""
    assert {} == wanted.parse(json.dumps(GOOD).encode()).kill_groups
    assert {7: False} == wanted.parse(json.dumps(GOOD | {"killGroups": {"7": False}}).encode()).kill_groups


@pytest.mark.parametrize("key", GOOD)
def test_each_key_is_needed(key: str) -> None:
    with pytest.raises(ValueError, match=r"its keys are not|its version is not"):
        wanted.parse(json.dumps({name: value for name, value in GOOD.items() if name != key}).encode())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"version": 1, "mode": "Off", "mode": "Enforce", "hostPriority": 0, "cgroups": {}}', "a key occurs twice"),
        (b'{"version": 1, "mode": "Off", "hostPriority": 0, "cgroups": {"7": 1, "7": 2}}', "a key occurs twice"),
        (b"[" * 100_000, "recursion"),
        (b"\xff", "invalid start byte"),
        (b"1", "its version is not 1"),
        (b"x" * (LIMIT + 1), f"it has more than {LIMIT} bytes"),
    ],
)
def test_a_file_that_is_no_request_is_refused(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    file = WantedFile(path)

    assert not file.read()
    assert reason in file.problem
    assert file.current is None


def test_only_a_regular_file_is_read(path: Path) -> None:
    """A link could name any file of the node, and a pipe would stop the adjuster."""
    other = path.with_name("other")
    wanted.write(other, REQUEST)
    path.symlink_to(other)
    link = WantedFile(path)
    link.read()
    path.unlink()
    os.mkfifo(path)
    pipe = WantedFile(path)
    pipe.read()
    path.unlink()
    path.mkdir()
    folder = WantedFile(path)
    folder.read()

    assert link.current is pipe.current is folder.current is None
    assert "Too many levels of symbolic links" in link.problem
    assert "it is no regular file" in pipe.problem
    assert "s a directory" in folder.problem or "no regular file" in folder.problem
