# SPDX-License-Identifier: Apache-2.0
"""The guest gets the files of the checkout and the build."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from vmtest.checkout import checkout_files, pack
from vmtest.errors import HarnessError


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with a file of each kind."""
    folder = tmp_path / "checkout"
    (folder / "sub").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".gitignore").write_text("/build/\n")
    for name in ("tracked", "deleted", "sub/tool"):
        (folder / name).write_text(name)
    (folder / "sub/tool").chmod(0o700)
    (folder / "link").symlink_to("sub/tool")
    subprocess.run(["git", "-C", str(folder), "add", "."], check=True)
    (folder / "deleted").unlink()
    (folder / "new file").write_text("new")
    (folder / "build").mkdir()
    (folder / "build/ignored").write_text("ignored")
    return folder


def test_tracked_and_new_files_belong_to_the_checkout(checkout: Path) -> None:
    assert [".gitignore", "link", "new file", "sub/tool", "tracked"] == [
        str(path.relative_to(checkout)) for path in checkout_files(checkout)
    ]


def test_the_tar_has_the_checkout_and_the_built_files(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "artifacts/bpf").mkdir(parents=True)
    (tmp_path / "artifacts/bpf/x.bpf.o").write_text("object")

    pack(checkout, {"build": tmp_path / "artifacts"}, tmp_path / "work.tar")

    with tarfile.open(tmp_path / "work.tar") as tar:
        members = {member.name: member for member in tar}
    assert {".gitignore", "link", "new file", "sub/tool", "tracked", "build/bpf/x.bpf.o"} == set(members)
    assert members["link"].linkname == "sub/tool"


def test_owner_and_mode_do_not_depend_on_the_host(checkout: Path, tmp_path: Path) -> None:
    (checkout / "tracked").chmod(0o600)

    pack(checkout, {}, tmp_path / "work.tar")

    with tarfile.open(tmp_path / "work.tar") as tar:
        modes = {member.name: member.mode for member in tar if member.isfile()}
        owners = {(member.uid, member.gid, member.uname) for member in tar}
    assert (modes["tracked"], modes["sub/tool"]) == (0o644, 0o755)
    assert owners == {(0, 0, "root")}


def test_a_folder_that_is_no_checkout_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(HarnessError, match="not a git repository"):
        checkout_files(tmp_path)
