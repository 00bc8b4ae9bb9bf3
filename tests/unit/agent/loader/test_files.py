# SPDX-License-Identifier: Apache-2.0
"""The loader's report, lock, command line, and files in folders of the agent's user."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from oompolicy_agent.kernel.proof import Proof, ProofReason
from oompolicy_agent.loader import main as command
from oompolicy_agent.loader import report, safefiles, settings
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.lock import exclusive
from oompolicy_agent.loader.report import LoaderReport
from oompolicy_agent.loader.settings import Settings

PROOF = Proof(
    reason=ProofReason.PROVED,
    message="one sentence",
    time="2026-11-28T12:00:00Z",
    boot="boot",
    object="3f2a",
    hook="Module",
    kernel="6.12.107",
)
REPORT = LoaderReport(
    backend="EvaluateTask",
    hook="Module",
    kernel_version="6.12.107",
    boot_id="boot",
    object="3f2a",
    attached=True,
    links=("evaluate_task",),
    warnings=("vm.panic_on_oom=1: the kernel panics",),
    proof=PROOF,
)


def test_the_report_has_the_contracts_keys(tmp_path: Path) -> None:
    report.write(tmp_path / "loader.json", REPORT)

    assert json.loads((tmp_path / "loader.json").read_text()) == {
        "backend": "EvaluateTask",
        "hook": "Module",
        "kernelVersion": "6.12.107",
        "bootId": "boot",
        "object": "3f2a",
        "attached": True,
        "links": ["evaluate_task"],
        "message": "",
        "warnings": ["vm.panic_on_oom=1: the kernel panics"],
        "proof": {
            "status": "True",
            "reason": "Proved",
            "message": "one sentence",
            "time": "2026-11-28T12:00:00Z",
            "boot": "boot",
            "object": "3f2a",
            "hook": "Module",
            "kernel": "6.12.107",
        },
    }


@pytest.mark.parametrize("damage", [None, [], {}, {"reason": "OfTomorrow"}, {**PROOF.to_json(), "time": 1}])
def test_a_proof_that_cannot_be_read_is_none(damage: object) -> None:
    """A loader then makes a new proof. The rest of the report is read all the same."""
    found = report.parse({**REPORT.to_json(), "proof": damage})

    assert replace(REPORT, proof=None) == found


def test_a_report_of_a_loader_without_proofs_is_read() -> None:
    written = REPORT.to_json()
    del written["proof"]

    assert replace(REPORT, proof=None) == report.parse(written)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report.write(tmp_path / "loader.json", REPORT)

    assert REPORT == report.parse(report.read(tmp_path / "loader.json"))


@pytest.mark.parametrize("content", ["", "[]", "{}", "{"])
def test_a_file_that_is_no_report_gives_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "loader.json").write_text(content)

    assert report.parse(report.read(tmp_path / "loader.json")) is None


def test_a_link_in_the_agents_folder_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "shadow"
    victim.write_text("secret")
    for name in ("loader.json", ".loader.json.tmp"):
        (tmp_path / name).symlink_to(victim)

    report.write(tmp_path / "loader.json", REPORT)

    assert victim.read_text() == "secret"
    assert report.read(tmp_path / "loader.json")["object"] == "3f2a"


def occupy(path: Path, kind: str) -> None:
    """Make at `path` something that the owner of the folder can put there."""
    if kind == "folder":
        (path / "full" / "of").mkdir(parents=True)
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.parent)


@pytest.mark.parametrize("kind", ["folder", "empty folder", "pipe", "link to a folder"])
def test_nothing_in_the_agents_folder_stops_the_loader(tmp_path: Path, kind: str) -> None:
    """The paths of the report, of its temporary file, and of the lock of earlier versions may be occupied."""
    for name in ("loader.json", ".loader.json.tmp", "loader.lock"):
        occupy(tmp_path / name, kind)

    report.write(tmp_path / "loader.json", REPORT)
    written = report.read(tmp_path / "loader.json")
    (tmp_path / "loader.json").unlink()
    occupy(tmp_path / "loader.json", kind)
    safefiles.clear(tmp_path / "loader.json")

    assert written["object"] == "3f2a"
    assert not (tmp_path / "loader.json").exists()


def test_a_report_that_cannot_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)

    with pytest.raises(OSError, match="No space"):
        report.write(tmp_path / "loader.json", REPORT)
    assert [] == list(tmp_path.iterdir())


def test_a_second_loader_gives_up_with_an_error(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(LoaderError, match="another loader is still running"),
        exclusive(tmp_path / "lock", patience=0),
    ):
        pass


def test_the_lock_can_be_taken_again_and_after_it_was_removed(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock"):
        (tmp_path / "lock").rmdir()
    with exclusive(tmp_path / "lock", patience=0):
        pass


def test_no_other_user_can_open_the_lock(tmp_path: Path) -> None:
    """A user with access to the lock can hold it for ever, and a container runtime makes folders that all can open."""
    (tmp_path / "lock").mkdir(mode=0o755)
    with exclusive(tmp_path / "lock"):
        assert 0o711 == (tmp_path / "lock").stat().st_mode & 0o777


def test_a_loader_that_can_pin_nothing_runs_without_the_lock(tmp_path: Path) -> None:
    """If there is no BPF file system, there is nothing to lock, and the loader has to report the reason."""
    (tmp_path / "file").touch()
    with exclusive(tmp_path / "file" / "lock", patience=0):
        pass


def test_report_and_checkpoint_follow_their_folders() -> None:
    found = settings.parse(["attach", "--run-dir", "/r", "--state-dir", "/s"])

    assert Path("/r/loader.json") == found.report
    assert Path("/s/checkpoint.json") == found.checkpoint


def test_the_defaults_are_the_contracts() -> None:
    found = settings.parse(["attach"])

    assert Path("/run/oompolicy/loader.json") == found.report
    assert Path("/var/lib/oompolicy/checkpoint.json") == found.checkpoint
    assert 41317 == found.uid
    assert 41317 == found.gid


@pytest.mark.parametrize(
    "arguments", [[], ["attach", "--host-priority", "900"], ["attach", "--uid", "root"], ["detach", "--uid", "1"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parse(arguments)

    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LoaderError("bpftool could not load it"), "bpftool could not load it"),
        (PermissionError(13, "Permission denied", "/pins/maps"), "/pins/maps: Permission denied"),
    ],
)
def test_a_failure_is_one_sentence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, sentence: str
) -> None:
    def fail(_: Settings) -> None:
        raise error

    monkeypatch.setattr(command, "detach", fail)

    assert command.main(["detach"]) == 1
    assert capsys.readouterr().err == f"oompolicy-loader: {sentence}\n"


def test_only_a_regular_file_of_bounded_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")

    assert safefiles.read(tmp_path / "file", 5) == b"12345"
    assert safefiles.read(tmp_path / "file", 4) is None
    assert safefiles.read(tmp_path / "pipe", 5) is None
    assert safefiles.read(tmp_path / "missing", 5) is None
    assert safefiles.read(tmp_path, 5) is None
    with pytest.raises(OSError, match="symbolic"):
        safefiles.read(tmp_path / "link", 5)
