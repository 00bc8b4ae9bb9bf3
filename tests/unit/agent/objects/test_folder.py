# SPDX-License-Identifier: Apache-2.0
"""Changes in a folder and of the folder itself are noticed, and the last valid state is kept."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Defaults
from oompolicy_agent.objects import manifestfolder
from oompolicy_agent.objects.foldersource import FolderSource
from oompolicy_agent.objects.known import decide
from oompolicy_agent.objects.manifestfolder import ManifestFolder
from oompolicy_agent.plumbing.folderwatch import FolderWatch
from oompolicy_agent.plumbing.inotify import Q_OVERFLOW, Change, Inotify
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oompolicy.manifests import Manifests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    return made


@pytest.fixture
def watch(folder: Path) -> Iterator[FolderWatch]:
    made = FolderWatch(folder)
    yield made
    made.close()


def test_at_first_there_is_no_change(watch: FolderWatch) -> None:
    assert not watch.changed()


def test_changes_of_files_are_noticed(watch: FolderWatch, folder: Path) -> None:
    """A file may be written, moved in, linked in, moved out or removed."""
    file, aside = folder / "a.yaml", folder.parent / "aside"
    steps = []
    for step in (
        lambda: file.write_text("a"),
        lambda: file.rename(aside),
        lambda: aside.rename(file),
        lambda: (folder / "link").symlink_to(file),
        lambda: os.link(file, folder / "hard"),
        file.unlink,
    ):
        step()
        steps.append(watch.changed())

    assert [True] * 6 == steps
    assert not watch.changed()


def test_a_file_is_noticed_when_it_is_closed(watch: FolderWatch, folder: Path) -> None:
    """A half-written file would be an invalid manifest."""
    with (folder / "a.yaml").open("w") as file:
        file.write("half")
        file.flush()
        assert not watch.changed()
    assert watch.changed()


def test_changes_beside_the_folder_are_not_noticed(watch: FolderWatch, folder: Path) -> None:
    """The parent is watched only for the folder's name."""
    (folder.parent / "other").write_text("x")

    assert not watch.changed()


def test_a_replaced_folder_is_watched(watch: FolderWatch, folder: Path) -> None:
    """After it was removed and made again, changes of its files are noticed."""
    folder.rmdir()
    assert watch.changed()
    assert not watch.complete
    folder.mkdir()
    assert watch.changed()
    assert watch.complete
    (folder / "a.yaml").write_text("a")
    assert watch.changed()


def test_a_folder_that_another_one_replaces_is_watched(watch: FolderWatch, folder: Path) -> None:
    """The new folder takes the name in one step."""
    new = folder.parent / "new"
    new.mkdir()
    shutil.rmtree(folder)
    new.rename(folder)
    assert watch.changed()
    (folder / "a.yaml").write_text("a")
    assert watch.changed()


def test_a_link_to_the_folder_is_followed(tmp_path: Path) -> None:
    """The link is changed to another folder, as kubelet changes that of its volumes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("one")
    watch = FolderWatch(tmp_path / "current")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    seen = [watch.changed()]
    (tmp_path / "two" / "a.yaml").write_text("a")
    seen.append(watch.changed())
    (tmp_path / "one" / "a.yaml").write_text("a")
    seen.append(watch.changed())
    watch.close()

    assert [True, True, False] == seen


def test_volumes_of_the_kubelet_are_followed(tmp_path: Path) -> None:
    """Files are links through ..data, and the kubelet replaces only that link."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "a.yaml").write_text("1")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    watch = FolderWatch(tmp_path)
    (tmp_path / "..2").mkdir()
    (tmp_path / "..2" / "a.yaml").write_text("2")
    (tmp_path / "..tmp").symlink_to("..2")
    watch.changed()
    (tmp_path / "..tmp").rename(tmp_path / "..data")

    assert watch.changed()
    watch.close()


def test_a_folder_may_appear_later(tmp_path: Path) -> None:
    """Its parent may be missing too. Then `renew` finds both."""
    watch = FolderWatch(tmp_path / "run" / "oompolicy")
    assert not watch.complete
    (tmp_path / "run" / "oompolicy").mkdir(parents=True)
    watch.renew()

    assert watch.complete
    watch.close()


def test_a_single_name_can_be_watched(folder: Path) -> None:
    """The agent writes its own status into the folder of the loader's report."""
    watch = FolderWatch(folder, only="loader.json")
    (folder / "status.json").write_text("{}")
    assert not watch.changed()
    (folder / "loader.json").write_text("{}")
    assert watch.changed()
    watch.close()


def test_a_lost_event_is_a_change(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the kernel's queue overflows, anything may have changed."""
    answers = [[Change(-1, Q_OVERFLOW, "")], []]
    monkeypatch.setattr(Inotify, "read", lambda _: answers.pop(0))

    assert watch.changed()


# The folder's content.


@pytest.fixture
def source(folder: Path) -> Iterator[FolderSource]:
    made = FolderSource(folder, Settings(manifests=folder, node="node-1"), Problems())
    yield made
    made.close()


def put(folder: Path, name: str, *objects: object) -> None:
    (folder / name).write_text("".join(f"---\n{json.dumps(each)}\n" for each in objects))


def priorities(source: FolderSource) -> list[int] | None:
    return [each.priority for each in source.known.assignments] if source.known else None


def test_valid_manifests_are_applied(source: FolderSource, folder: Path) -> None:
    """A later change is applied too."""
    put(folder, "pod.yaml", raw_pod())
    put(folder, "policy.yaml", raw_policy(value=300))
    seen = [source.reload(), source.reload(), priorities(source)]
    put(folder, "policy.yaml", raw_policy(value=400))
    seen += [source.reload(), priorities(source)]

    assert [True, False, [300], True, [400]] == seen


def test_the_last_valid_state_is_kept(source: FolderSource, folder: Path) -> None:
    """An error names file, object and field. Once it is corrected, the new state is applied."""
    put(folder, "pod.yaml", raw_pod())
    put(folder, "policy.yaml", raw_policy(value=300))
    source.reload()
    put(folder, "policy.yaml", raw_policy(value=4000))
    (folder / "pod.yaml").unlink()

    assert not source.reload()
    assert [300] == priorities(source)
    (sentence,) = source._problems.current[Reason.INVALID_MANIFESTS]
    assert f"{folder / 'policy.yaml'}: OOMPolicy/web: spec.priority.value: " in sentence
    put(folder, "policy.yaml", raw_policy(value=400))
    assert source.reload()
    assert ([], {}) == (priorities(source), source._problems.current)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"- 1", b"kind: ConfigMap"])
def test_unreadable_manifests_change_nothing(source: FolderSource, folder: Path, content: bytes) -> None:
    """At the first start there is no state then, which differs from an empty state."""
    put(folder, "pod.yaml", raw_pod())
    (folder / "bad.yaml").write_bytes(content)

    assert not source.reload()
    assert source.known is None
    assert str(folder / "bad.yaml") in source._problems.current[Reason.INVALID_MANIFESTS][0]


def test_an_unmounted_folder_changes_nothing(source: FolderSource, folder: Path) -> None:
    """The missing folder is a problem, and the pods keep their priorities."""
    put(folder, "pod.yaml", raw_pod())
    source.reload()
    shutil.rmtree(folder)

    assert not source.reload()
    assert [500] == priorities(source)
    assert source._problems.current[Reason.INVALID_MANIFESTS]


def test_a_change_without_an_event_is_found(source: FolderSource, folder: Path) -> None:
    """The full check finds it."""
    put(folder, "pod.yaml", raw_pod())
    assert source.poll()
    source.reload()

    assert not source.poll()


def test_the_folder_is_read_as_a_whole(folder: Path) -> None:
    """It has the policies, namespaces and pods of all files."""
    put(folder, "all.yaml", raw_pod(), raw_policy())

    assert 1 == len(decide(ManifestFolder(folder).load(), "node-1", Defaults()).assignments)


def test_an_unchanged_file_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only changed files are read, and the remembered ones give the same objects."""
    put(folder, "pod.yaml", raw_pod())
    put(folder, "policy.yaml", raw_policy(value=300))
    for name in ("pod.yaml", "policy.yaml"):
        os.utime(folder / name, (1, 1))
    reader, read = ManifestFolder(folder), list[str]()
    fresh = manifestfolder._fresh

    def noted(file: Path) -> Manifests:
        read.append(file.name)
        return fresh(file)

    monkeypatch.setattr(manifestfolder, "_fresh", noted)
    first = reader.load()
    again = reader.load()
    put(folder, "policy.yaml", raw_policy(value=400))
    changed = reader.load()
    (folder / "pod.yaml").unlink()

    assert ["pod.yaml", "policy.yaml", "policy.yaml"] == read
    assert (first.policies, first.pods) == (again.policies, again.pods)
    assert changed.policies != first.policies
    assert () == reader.load().pods


def test_an_invalid_file_is_reported_every_time(folder: Path) -> None:
    """The second reading reports the problem again."""
    put(folder, "policy.yaml", raw_policy(value=3000))
    os.utime(folder / "policy.yaml", (1, 1))
    reader = ManifestFolder(folder)

    assert reader.load().problems == reader.load().problems != ()


def test_a_file_written_just_now_is_read_again(folder: Path) -> None:
    """The next change may have the same time, because the clock of files ticks every few milliseconds."""
    put(folder, "policy.yaml", raw_policy(value=300))
    reader = ManifestFolder(folder)
    before = reader.load()
    stat = (folder / "policy.yaml").stat()
    put(folder, "policy.yaml", raw_policy(value=400))
    os.utime(folder / "policy.yaml", ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert before.policies != reader.load().policies


def test_the_same_object_in_two_files_is_a_problem(folder: Path) -> None:
    """This holds even if only one of them is read again."""
    for name in ("a.yaml", "b.yaml"):
        put(folder, name, raw_policy())
        os.utime(folder / name, (1, 1))
    reader = ManifestFolder(folder)
    reader.load()
    (problem,) = reader.load().problems

    assert (str(folder / "b.yaml"), "OOMPolicy/web") == (problem.file, problem.object)


# The kernel counts inotify instances per user.

OTHER_USER = 54_321


def as_another_user(do: Callable[[], None]) -> int:
    """Run the function in a process of an unused user, and return its exit status.

    The kernel counts inotify instances per user, so other tests keep theirs.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
                os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)
            do()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def all_instances() -> list[Inotify]:
    taken: list[Inotify] = []
    try:
        while True:
            taken.append(Inotify())
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    return taken


def test_without_an_inotify_instance_changes_are_not_noticed_but_nothing_fails() -> None:
    """Another container of the same uid may use all instances. Once there is one again, changes are noticed."""

    def check() -> None:
        taken = all_instances()
        with tempfile.TemporaryDirectory() as name:
            watch = FolderWatch(Path(name))
            assert not watch.changed()
            assert "; raise fs.inotify.max_user_instances" in (watch.problem or "")
            taken.pop().close()
            watch.renew()
            (Path(name) / "a.yaml").write_text("a")
            assert select.select([watch.fd], [], [], 5)[0]
            assert (True, None) == (watch.changed(), watch.problem)
            watch.close()

    assert 0 == as_another_user(check)


def test_a_folder_is_read_without_an_inotify_instance() -> None:
    """The full check finds changes without an event."""

    def check() -> None:
        all_instances()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            made = FolderSource(folder, Settings(manifests=folder, node="node-1"), Problems())
            made.start()
            (folder / "policy.json").write_text(json.dumps(raw_policy()))
            assert made.poll()
            assert made.reload()
            assert "max_user_instances" in (made.unwatched or "")
            made.close()

    assert 0 == as_another_user(check)
