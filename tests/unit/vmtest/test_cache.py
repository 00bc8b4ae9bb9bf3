# SPDX-License-Identifier: Apache-2.0
"""Builds are cached under a hash of their inputs, completely or not at all."""

from pathlib import Path

import pytest

from vmtest import image
from vmtest.cache import cache_dir, digest, file_parts, forget_old, publishing


def test_the_key_differs_for_parts_that_join_to_the_same_bytes() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])
    assert digest([b"ab", b"c"]) == digest([b"ab", b"c"])


def test_a_changed_name_changes_the_key(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = digest(file_parts(tmp_path, [tmp_path / "a"]))
    (tmp_path / "a").rename(tmp_path / "b")

    assert before != digest(file_parts(tmp_path, [tmp_path / "b"]))


def test_the_images_key_covers_the_package_list(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.image_key()
    assert before == image.image_key()
    monkeypatch.setattr(image, "EXCLUDED", ["/usr/share/other/*"])

    assert before != image.image_key()


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")

    assert Path("/elsewhere/oompolicy") == cache_dir()


def test_a_finished_build_replaces_the_previous_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with publishing(tmp_path / "key") as work:
            (work / "file").write_text(content)

    assert (tmp_path / "key/file").read_text() == "new"
    assert ["key"] == [path.name for path in tmp_path.iterdir()]


def fail_in(target: Path) -> None:
    with publishing(target) as work:
        (work / "file").write_text("half")
        raise ValueError("the build broke")


def test_a_failed_build_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broke"):
        fail_in(tmp_path / "key")

    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_builder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "key.tmp-abc").mkdir()

    with publishing(tmp_path / "key"):
        pass

    assert ["key"] == [path.name for path in tmp_path.iterdir()]


def test_the_newest_image_besides_the_current_one_is_kept(tmp_path: Path) -> None:
    for name in ("oldest", "older", "current"):
        (tmp_path / name).mkdir()
    (tmp_path / "current.lock").touch()

    forget_old(tmp_path / "current")

    assert {"older", "current", "current.lock"} == {path.name for path in tmp_path.iterdir()}
