# SPDX-License-Identifier: Apache-2.0
"""A campaign that ends early is continued, and a guest that fails is a result. No guest runs here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks import answers
from campaign import __main__ as campaign
from campaign import rounds
from campaign.plan import Round, plan
from campaign.results import Found, Result, Wrong, read
from vmtest.errors import LostVMError, QemuError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtest.image import Image

IMAGE = cast("Image", None)
FIRST, SECOND, THIRD = plan(150, 50)


class Machine:
    """A machine whose guests do as the test says, in the order of the rounds that ran."""

    def __init__(self, folder: Path) -> None:
        self.ran: list[Round] = []
        self.page, self.results = folder / "campaign.md", folder / "results.jsonl"
        self.page.write_text("# Page\n\n<!-- campaign: begin -->\n<!-- campaign: end -->\n")
        self.found: Callable[[Round], Found] = lambda _: Found("6.12", 60)
        self.failure = ""
        self.answered: list[str] = []
        """The page each time that the answers of docs/benchmarks.md were written."""

    def run(self, _image: Image, one: Round) -> Result:
        self.ran.append(one)
        return Result(one, "abc", "2026-11-28", 1.0, self.found(one), self.failure)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(campaign, "DOCUMENT", made.page)
    monkeypatch.setattr(answers, "refresh", lambda: made.answered.append(made.page.read_text()))
    monkeypatch.setattr(campaign, "RESULTS", made.results)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(campaign, "ensure_image", lambda: IMAGE)
    monkeypatch.setattr(rounds, "run", made.run)
    monkeypatch.setattr(sys, "argv", ["campaign", "--ooms", "150"])
    return made


def test_an_interrupted_campaign_continues_with_the_round_that_did_not_end(machine: Machine) -> None:
    def interrupted(one: Round) -> Found:
        if one == SECOND:
            raise KeyboardInterrupt
        return Found("6.12", 60)

    machine.found = interrupted
    assert 130 == campaign.main()
    assert "**50 of 150 OOMs are done" in machine.page.read_text()
    machine.found = lambda _: Found("6.12", 60)
    assert 0 == campaign.main()

    assert [FIRST, SECOND, SECOND, THIRD] == machine.ran
    assert "**150 of 150 OOMs are done" in machine.page.read_text()


def test_the_answers_are_written_from_the_new_page(machine: Machine) -> None:
    """The answers on top of docs/benchmarks.md have the sums of this page."""
    campaign.main()

    assert [machine.page.read_text()] == machine.answered
    assert "**150 of 150 OOMs are done" in machine.answered[0]


def test_a_campaign_that_is_done_runs_nothing(machine: Machine) -> None:
    campaign.main()
    machine.ran.clear()

    assert 0 == campaign.main()
    assert [] == machine.ran


OTHER = """
from campaign.__main__ import alone
with alone("kernel"):
    print("runs", flush=True)
with alone("scores"):
    print("never", flush=True)
"""


@pytest.mark.usefixtures("machine")
def test_two_backends_run_at_the_same_time_and_one_backend_does_not_run_twice() -> None:
    """Two processes of one backend would run the same rounds."""
    with campaign.alone("scores"), campaign.alone("module"):
        other = subprocess.Popen([sys.executable, "-c", OTHER], stdout=PIPE, stderr=PIPE, text=True)
        assert other.stderr is not None
        assert "waiting for another process that makes campaign-scores" in other.stderr.readline()
        other.kill()
        assert "runs\n" == other.communicate()[0]


def test_a_failed_round_does_not_end_the_campaign_and_runs_again_the_next_time(machine: Machine) -> None:
    """It runs once in each campaign, so one that always fails does not keep the campaign from ending."""
    machine.failure = "the guest was lost"
    assert 1 == campaign.main()
    machine.failure = ""
    assert 0 == campaign.main()

    assert [FIRST, SECOND, THIRD] * 2 == machine.ran
    assert 6 == len(read(machine.results))


def test_a_wrong_victim_is_a_failure_of_the_command_and_the_round_is_not_repeated(machine: Machine) -> None:
    """A second try would hide it."""
    machine.found = lambda _: Found("6.12", 60, [Wrong(3, "the kernel killed [1], the model 2")])
    assert 1 == campaign.main()
    assert 0 == campaign.main()

    assert [FIRST, SECOND, THIRD] == machine.ran
    assert "Wrong: 3." in machine.page.read_text()


@pytest.mark.parametrize("name", ["trixie/module/plain/4", "bookworm/scores/all/1"])
def test_a_repeated_round_keeps_no_result(machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "argv", ["campaign", "--round", name])

    assert 0 == campaign.main()
    assert [name] == [one.name for one in machine.ran]
    assert not machine.results.exists()


def test_an_unknown_round_is_a_wrong_command_line(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["campaign", "--round", "trixie/module"])

    assert 2 == campaign.main()
    assert [] == machine.ran


def test_a_lost_guest_is_a_failure_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise LostVMError("the guest panicked", "Kernel panic")

    monkeypatch.setattr(rounds, "ensure_artifacts", lambda _: Path("build"))
    monkeypatch.setattr(rounds, "run_guest", lost)
    result = rounds.run(IMAGE, FIRST)

    assert "the guest panicked; the console ends with:\nKernel panic" == result.failure
    assert Found("", 0) == result.found


def test_a_machine_without_qemu_ends_the_campaign_with_the_reason(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    """No round ran, so there is no result."""

    def refused(_: Round) -> Found:
        raise QemuError("QEMU refused")

    machine.found = refused

    assert 1 == campaign.main()
    assert [] == read(machine.results)
    assert "QEMU refused" in capfd.readouterr().err


def test_a_program_that_fails_in_the_guest_is_a_failure_with_the_kernels_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ensure_artifacts", lambda _: Path("build"))
    monkeypatch.setattr(rounds, "run_guest", lambda *_, **__: SimpleNamespace(status=1, kernel_log="Oops"))

    assert "the guest's program ended with status 1:\nOops" == rounds.run(IMAGE, FIRST).failure
