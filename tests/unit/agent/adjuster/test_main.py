# SPDX-License-Identifier: Apache-2.0
"""The program refuses to start with a sentence, and one program runs per node."""

from __future__ import annotations

import fcntl
import os
import resource
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import main as program
from oompolicy_agent.adjuster.killgroups import GroupValues
from oompolicy_agent.adjuster.originals import Original, Originals
from oompolicy_agent.mapping import cgroups

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a command line that restores in a folder in place of the cgroup tree."""
    monkeypatch.setattr(program, "is_cgroup2", lambda _: True)
    monkeypatch.setattr(program, "start_logging", lambda _: None)
    (tmp_path / "cgroup/kubepods").mkdir(parents=True)
    return ["--restore", "--state-dir", str(tmp_path / "state"), "--cgroup-root", str(tmp_path / "cgroup")]


def test_restore_without_scores_succeeds(arguments: list[str], tmp_path: Path) -> None:
    """Only root may list the state folder. Other users read the report in it by its name."""
    assert 0 == program.main(arguments)
    assert 0o711 == (tmp_path / "state").stat().st_mode & 0o777


def test_restore_without_scores_succeeds_on_any_node(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An uninstall asks the nodes with cgroup v1 too, which can have no scores."""
    monkeypatch.setattr(program, "is_cgroup2", lambda _: False)

    assert 0 == program.main(arguments)


def test_restore_may_open_every_process_of_a_node(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container often begins with a limit of 1024 open files, which is less than a node has processes."""
    raised = dict[int, int]()
    monkeypatch.setattr(resource, "setrlimit", lambda limit, both: raised.update({limit: both[0]}))
    (tmp_path / "state").mkdir()
    Originals(tmp_path / "state/originals.json", program.BOOT_ID.read_text().strip()).remember({1: Original(500)})

    assert 0 == program.main(arguments)
    assert raised[resource.RLIMIT_NOFILE] >= 1 << 20


def test_restore_forgets_cgroups_that_are_gone(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    boot = program.BOOT_ID.read_text().strip()
    Originals(tmp_path / "state/originals.json", boot).remember({1: Original(500)})

    assert 0 == program.main(arguments)
    assert {} == Originals(tmp_path / "state/originals.json", boot).known


def test_a_second_adjuster_refuses_to_start(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    lock = tmp_path / "state/adjuster.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert 1 == program.main(arguments)
    assert f"another adjuster runs on this node: it holds {lock}; end it first" in caplog.text


def test_a_damaged_file_of_original_values_stops_the_program(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/originals.json").write_text('{"version": 1')

    assert 1 == program.main(arguments)
    assert "so no score is written or restored; delete the file" in caplog.text


def test_a_state_folder_that_is_a_file_stops_the_program(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("")

    assert 1 == program.main(arguments)
    assert "the state directory cannot be used" in caplog.text


def test_a_root_without_cgroup2_stops_the_program(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(program, "is_cgroup2", cgroups.is_cgroup2)

    assert 1 == program.main([each for each in arguments if each != "--restore"])
    assert f"{tmp_path}/cgroup is not a cgroup v2 mount: this node's pods cannot be found" in caplog.text


def test_a_wrong_command_line_has_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--restor", "now"])
    assert 2 == ended.value.code


def test_restore_forgets_kill_groups_of_cgroups_that_are_gone(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "scan", lambda root: cgroups.scan(root, check=lambda _: True))
    (tmp_path / "state").mkdir()
    boot = program.BOOT_ID.read_text().strip()
    GroupValues(tmp_path / "state/killgroups.json", boot).remember({1: True})

    assert 0 == program.main(arguments)
    assert {} == GroupValues(tmp_path / "state/killgroups.json", boot).known


def test_restore_says_which_values_it_could_not_restore(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The value stays in the file, for the next time."""
    monkeypatch.setattr(program, "scan", lambda root: cgroups.scan(root, check=lambda _: True))
    pod = tmp_path / "cgroup/kubepods/pod0cf04643-bc8f-41cc-8570-f0ae38ab242e"
    pod.mkdir()
    (tmp_path / "state").mkdir()
    boot = program.BOOT_ID.read_text().strip()
    GroupValues(tmp_path / "state/killgroups.json", boot).remember({pod.stat().st_ino: True})

    assert 1 == program.main(arguments)
    assert "not all original values are restored: memory.oom.group cannot be written: ENOENT; run" in caplog.text
    assert {pod.stat().st_ino: True} == GroupValues(tmp_path / "state/killgroups.json", boot).known


def test_restore_fails_for_processes_that_it_cannot_see(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the node's pids, each pod looks empty. Its values stay in the file, for the next time."""
    pod = tmp_path / "cgroup/kubepods/pod0cf04643-bc8f-41cc-8570-f0ae38ab242e"
    pod.mkdir()
    (pod / "cgroup.procs").write_text("0\n")
    (tmp_path / "state").mkdir()
    boot = program.BOOT_ID.read_text().strip()
    Originals(tmp_path / "state/originals.json", boot).remember({pod.stat().st_ino: Original(5)})

    assert 1 == program.main(arguments)
    assert "not all original values are restored: hidden; run the command again" in caplog.text
    assert {pod.stat().st_ino: Original(5)} == Originals(tmp_path / "state/originals.json", boot).known


def test_restore_reads_cgroups_with_a_path_that_is_too_long(arguments: list[str], tmp_path: Path) -> None:
    """A container with nested cgroups cannot keep an uninstall from its end."""
    pod = tmp_path / "cgroup/kubepods/pod0cf04643-bc8f-41cc-8570-f0ae38ab242e"
    pod.mkdir()
    parent = os.open(pod, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=parent)
        above, parent = parent, os.open("n" * 250, os.O_RDONLY, dir_fd=parent)
        os.close(above)
    (tmp_path / "state").mkdir()
    boot = program.BOOT_ID.read_text().strip()
    Originals(tmp_path / "state/originals.json", boot).remember({1: Original(5), os.fstat(parent).st_ino: Original(6)})
    deepest = os.fstat(parent).st_ino
    os.close(parent)

    assert 0 == program.main(arguments)
    assert {deepest: Original(6)} == Originals(tmp_path / "state/originals.json", boot).known
