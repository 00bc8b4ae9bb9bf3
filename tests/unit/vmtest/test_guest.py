# SPDX-License-Identifier: Apache-2.0
"""The command is passed to the guest, and the guest's end is reported."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmtest import qemu
from vmtest.boot import Boot, read_status, stream
from vmtest.boot import boot as start
from vmtest.errors import HarnessError, LostVMError, QemuAbortedError, QemuError
from vmtest.qemu import Machine
from vmtest.vm import script, unpack


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Return a boot that has ended and left no files yet."""
    here = Path("/nowhere")
    return Boot(machine=Machine("tcg"), vmlinuz=here, initrd=here, root=here, work=here, folder=tmp_path)


def test_words_reach_the_guest_unchanged(tmp_path: Path) -> None:
    words = ["printf", "%s|", "two words", "$HOME", "it's", "", "*"]

    text = script(words, "trixie", {"EXTRA": "a b"}).replace("cd /checkout", f"cd {tmp_path}")

    assert subprocess.check_output(["sh", "-c", text], text=True) == "two words|$HOME|it's||*|"


def test_the_command_has_the_guests_environment() -> None:
    text = script(["true"], "trixie-backports", {"EXTRA": "a b"})

    assert "export OOMPOLICY_GUEST=1\n" in text
    assert "export OOMPOLICY_KERNEL=trixie-backports\n" in text
    assert "export PYTHONPATH=/checkout/operator:/checkout/agent:/checkout\n" in text
    assert "export EXTRA='a b'\n" in text


def test_a_status_counts_regardless_of_qemus_own(boot: Boot) -> None:
    boot.status.write_text("37\n")

    assert read_status(boot, 0, boot.folder / "qemu.log") == 37


def test_a_missing_status_is_a_lost_guest_with_the_end_of_its_console(boot: Boot) -> None:
    boot.console.write_text("".join(f"line {number}\n" for number in range(500)))

    with pytest.raises(LostVMError) as lost:
        read_status(boot, 0, boot.folder / "qemu.log")

    assert lost.value.console.splitlines()[-1] == "line 499"
    assert len(lost.value.console.splitlines()) == 150


def test_an_error_of_qemu_is_not_a_lost_guest(boot: Boot) -> None:
    (boot.folder / "qemu.log").write_text("qemu-system-x86_64: -m x: invalid\n")

    with pytest.raises(QemuError, match="-m x: invalid"):
        read_status(boot, 1, boot.folder / "qemu.log")


@pytest.mark.parametrize(("console", "starts"), [("", 2), ("booting", 1)])
def test_a_qemu_that_aborts_before_the_kernel_runs_is_started_once_more(
    boot: Boot, monkeypatch: pytest.MonkeyPatch, console: str, starts: int
) -> None:
    """Only then nothing was tested. If QEMU aborts a second time, or later, the run has failed."""
    count = boot.folder / "starts"
    shell = f"printf x >>{count}; printf %s '{console}' >{boot.console}; kill -ABRT $$"
    monkeypatch.setattr(qemu, "check_version", lambda _: None)
    monkeypatch.setattr(qemu, "command_line", lambda *_: ["sh", "-c", shell])

    with pytest.raises(LostVMError if console else QemuAbortedError, match="status -6"):
        start(boot, io.BytesIO(), None)

    assert "x" * starts == count.read_text()


def test_a_qemu_killed_after_the_kernel_started_is_a_lost_guest(boot: Boot) -> None:
    boot.console.write_text("booting\n")

    with pytest.raises(LostVMError, match="status -9"):
        read_status(boot, -9, boot.folder / "qemu.log")


def test_output_is_passed_on_until_the_guest_ends() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"all of it")
    os.close(write_end)
    output = io.BytesIO()

    assert stream(read_end, output, 5.0)
    os.close(read_end)
    assert output.getvalue() == b"all of it"


def test_a_guest_that_exceeds_its_deadline_is_reported() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"so far")
    output = io.BytesIO()

    assert not stream(read_end, output, 0.05)
    os.close(write_end)
    os.close(read_end)
    assert output.getvalue() == b"so far"


def test_artifacts_are_unpacked_into_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with tarfile.open(tmp_path / "artifacts.tar", "w") as tar:
        tar.add(tmp_path / "file", "./below/file")

    unpack(tmp_path / "artifacts.tar", tmp_path / "new/target")

    assert (tmp_path / "new/target/below/file").read_text() == "kept"


def test_a_tar_with_a_path_outside_of_its_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("evil")
    with tarfile.open(tmp_path / "artifacts.tar", "w") as tar:
        tar.add(tmp_path / "file", "../escaped")

    with pytest.raises(HarnessError, match="artifacts"):
        unpack(tmp_path / "artifacts.tar", tmp_path / "target")

    assert not (tmp_path / "escaped").exists()
