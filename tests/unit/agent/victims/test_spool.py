# SPDX-License-Identifier: Apache-2.0
"""A victim is on disk before it is reported, once, and never lost by a crash in between."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.victims import spool as module
from oompolicy_agent.victims.record import record_of
from oompolicy_agent.victims.report import read_report
from oompolicy_agent.victims.spool import MAX_EACH, MAX_REPORTED, Spool
from oompolicy_agent.victims.spooled import Spooled, realtime_offset_ns
from tests.unit.agent.fakes import BOOT, old_record, record

if TYPE_CHECKING:
    from pathlib import Path


def raw(tgid: int = 1, **fields: Any) -> bytes:  # noqa: ANN401
    return bytes(record(victim_tgid=tgid, **fields))


def spool(folder: Path, **bounds: int) -> Spool:
    return Spool(folder / "spool", BOOT, **bounds)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "spool").iterdir())


def test_a_victim_is_a_file_until_it_is_reported(tmp_path: Path) -> None:
    """Readable to nobody else, with the record and what dates it."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    (file,) = (tmp_path / "spool").iterdir()
    spooled = made.read(name)

    assert (f"{name}.victim", 0o600) == (file.name, file.stat().st_mode & 0o777)
    assert spooled is not None
    assert (BOOT, raw()) == (spooled.boot_id, spooled.raw)
    assert abs(spooled.realtime_offset_ns - realtime_offset_ns()) < 10**9
    made.done(name)
    assert ((), []) == (made.pending, names(tmp_path))


def test_the_same_record_again_is_the_same_victim(tmp_path: Path) -> None:
    """While it is spooled, and after it was reported; as two program generations deliver it, moments apart."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None

    assert made.add(raw(boottime_ns=7)) is None
    made.done(name)
    assert made.add(raw(boottime_ns=8)) is None
    assert made.add(raw(2)) is not None


OLDER: dict[str, int] = {"flags": VictimFlag.SELECTED, "candidates": 1}
NEWER: dict[str, int] = {"flags": VictimFlag.SELECTED | VictimFlag.CHANGED, "candidates": 4}


@pytest.mark.parametrize("first", [OLDER, {"flags": 0, "candidates": 0}])
def test_of_two_versions_of_the_program_the_one_that_was_asked_more_is_kept(
    tmp_path: Path, first: dict[str, int]
) -> None:
    """The older one is asked about the rest alone, reports first, and does not know which process was spared."""
    made = spool(tmp_path)
    name = made.add(raw(**first))
    assert name is not None

    assert made.add(raw(**NEWER)) is None
    assert made.add(raw(**first)) is None
    kept = made.read(name)
    assert kept is not None
    assert (raw(**NEWER), (name,)) == (kept.raw, made.pending)
    assert [f"{name}.victim"] == names(tmp_path)


def test_of_two_equal_records_the_one_with_the_triggers_ancestors_is_kept(tmp_path: Path) -> None:
    """During an upgrade the program of the version before reports first, and its record is shorter."""
    made = spool(tmp_path)
    newer = raw(trigger_cgroup_ids=[1, 2], **NEWER)
    name = made.add(old_record(record_of(raw(**NEWER))))
    assert name is not None

    assert made.add(newer) is None
    kept = made.read(name)
    assert kept is not None
    assert newer == kept.raw


def test_a_report_that_is_finished_is_not_made_anew(tmp_path: Path) -> None:
    """By then its pod may be forgotten, and the record could not be named again."""
    made = spool(tmp_path)
    name = made.add(raw(**OLDER))
    assert name is not None
    spooled = made.read(name)
    assert spooled is not None
    made.keep(name, spooled, REPORT)

    assert made.add(raw(**NEWER)) is None
    kept = made.read(name)
    assert kept is not None
    assert REPORT == kept.report


def test_a_record_that_waits_for_the_disk_is_replaced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays one victim, on disk or in memory."""
    made = spool(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", _no_space)
        name = made.add(raw(**OLDER))
        assert name is not None
        assert made.add(raw(**NEWER)) is None
        kept = made.read(name)
    made.retry_held()

    assert kept is not None
    assert (raw(**NEWER), (name,)) == (kept.raw, made.pending)


def test_a_crash_before_the_rename_leaves_nothing(tmp_path: Path) -> None:
    """The ring buffer still has the record: it comes again."""
    spool(tmp_path).write_temporary("0" * 16, Spooled(BOOT, 0, raw()))
    again = spool(tmp_path)

    assert ((), []) == (again.pending, names(tmp_path))
    assert again.add(raw()) is not None


def test_a_crash_after_the_rename_leaves_one(tmp_path: Path) -> None:
    """The ring buffer delivers the record again, and it stays one victim."""
    first = spool(tmp_path)
    name = first.add(raw())
    again = spool(tmp_path)

    assert (name,) == again.pending
    assert again.add(raw()) is None
    assert (name,) == again.pending


def test_reported_victims_are_remembered_by_the_checkpoint(tmp_path: Path) -> None:
    """A restart does not report them again."""
    first = spool(tmp_path)
    name = first.add(raw())
    assert name is not None
    first.done(name)
    again = spool(tmp_path)
    again.remember(first.reported)

    assert again.add(raw()) is None


def test_they_are_read_in_the_order_they_came(tmp_path: Path) -> None:
    """Also by the next agent."""
    first = spool(tmp_path)
    came = [first.add(raw(tgid)) for tgid in range(1, 6)]
    for age, name in enumerate(came):
        os.utime(tmp_path / "spool" / f"{name}.victim", ns=(age, age))

    assert came == list(first.pending) == list(spool(tmp_path).pending)


@settings(max_examples=20)  # each victim is synced to the disk
@given(st.lists(st.integers(1, 8), max_size=12), st.integers(1, 5))
def test_it_is_bounded_and_the_oldest_go(
    tmp_path_factory: pytest.TempPathFactory, tgids: list[int], bound: int
) -> None:
    """Counted, and what is on disk is what is pending."""
    folder = tmp_path_factory.mktemp("spool")
    made = spool(folder, max_files=bound)
    added = [made.add(raw(tgid)) for tgid in tgids]
    kept = [name for name in added if name is not None]

    assert kept[-bound:] == list(made.pending)
    assert made.dropped == len(kept) - len(made.pending)
    assert sorted(f"{name}.victim" for name in made.pending) == names(folder)


def test_it_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    """And knows its size after a restart."""
    made = spool(tmp_path, max_bytes=4000)
    for tgid in range(1, 6):
        made.add(raw(tgid))

    assert 2 == len(made.pending)
    assert made.bytes <= 4000
    assert made.bytes == spool(tmp_path).bytes
    assert 1 == len(spool(tmp_path, max_files=1).pending)


def test_a_full_disk_costs_no_victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in memory, can be reported from there, and goes to the disk when there is room."""
    made = spool(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_space)
        name = made.add(raw())
    assert name is not None
    held = made.read(name)

    assert (made.problem or "") == f"1 victims cannot be written to {tmp_path / 'spool'}"
    assert held is not None
    assert ((name,), []) == (made.pending, names(tmp_path))
    made.retry_held()
    assert (None, [f"{name}.victim"]) == (made.problem, names(tmp_path))


def _no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_memory_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stays full drops the oldest, counted."""
    monkeypatch.setattr(os, "fsync", _no_space)
    monkeypatch.setattr(module, "MAX_HELD", 3)
    made = spool(tmp_path)
    came = [made.add(raw(tgid)) for tgid in range(1, 6)]

    assert came[2:] == list(made.pending)
    assert 2 == made.dropped


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0}\nshort',
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0, "report": {}}\n',
        b'{"report": {"event": {"eventTime": "", "note": ""}, "summary": {}}}\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 1e30}\n' + bytes(record()),
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": %d}\n' % 10**30 + bytes(record()),
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": %d}\n' % -(10**30) + bytes(record()),
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0, "repeats": "many"}\n' + bytes(record()),
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0, "lastNs": %d}\n' % 10**30 + bytes(record()),
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0}\n' + bytes(record()) + b"of another layout",
        b'{"version": 1, "bootId": "x", "realtimeOffsetNs": 0, "report": {"event":'
        b' {"eventTime": "0000-99-01T00:00:00Z", "note": ""}, "summary": {}}}\n',
    ],
    ids=range(14),
)
def test_a_file_that_cannot_be_used_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    """With a word, and the next one is read."""
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "0123456789abcdef.victim").write_bytes(data)
    made = spool(tmp_path)

    assert made.read("0123456789abcdef") is None
    assert ((), 1) == (made.pending, made.dropped)
    assert "0123456789abcdef" in caplog.text


def test_a_file_that_vanished_is_dropped(tmp_path: Path) -> None:
    """Somebody tidied up."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    (tmp_path / "spool" / f"{name}.victim").unlink()

    assert made.read(name) is None
    assert () == made.pending


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    """The oldest identities go."""
    made = spool(tmp_path)
    made.remember(tuple(str(each) for each in range(MAX_REPORTED + 5)))

    assert (MAX_REPORTED, "5") == (len(made.reported), made.reported[0])


def test_a_record_of_another_size_is_an_error(tmp_path: Path) -> None:
    """Said by whoever consumes the ring; nothing is written."""
    with pytest.raises(ValueError, match="has 5 bytes, expected 1656, or 1456 from before"):
        spool(tmp_path).add(b"short")
    assert [] == names(tmp_path)


# What one container may take.

OTHER = "kubepods.slice/kubepods-pod{:08}_bc8f_41cc_8570_f0ae38ab242e.slice/cri-containerd-" + "ab" * 32 + ".scope"


def of_pod(number: int, tgid: int, **fields: Any) -> bytes:  # noqa: ANN401
    return bytes(record(OTHER.format(number), (1, 2, 3, 4), victim_tgid=tgid, **fields))


def stands_for(made: Spool) -> int:
    """How many victims the spool knows of."""
    return sum(1 + spooled.repeats for name in made.pending if (spooled := made.read(name)))


def test_beyond_its_share_a_containers_victims_are_counted(tmp_path: Path) -> None:
    """In its newest record; the others' stay, and so does the number, also for the next agent."""
    made = spool(tmp_path)
    first = [made.add(of_pod(number, number)) for number in range(2, 7)]
    came = [made.add(of_pod(1, tgid, boottime_ns=tgid * 10**9)) for tgid in range(1000, 1000 + 3 * MAX_EACH)]
    newest = made.read(came[MAX_EACH - 1] or "")

    assert [None] * 2 * MAX_EACH == came[MAX_EACH:]
    assert (*first, *came[:MAX_EACH]) == made.pending
    assert newest is not None
    assert 2 * MAX_EACH == newest.repeats
    assert abs((1000 + 3 * MAX_EACH - 1) * 10**9 + newest.realtime_offset_ns - newest.last_ns) < 10**9
    assert 5 + 3 * MAX_EACH == stands_for(made) == stands_for(spool(tmp_path))
    assert 0 == made.dropped


def test_a_victim_that_is_counted_is_counted_once(tmp_path: Path) -> None:
    """Two program generations deliver it."""
    made = spool(tmp_path)
    for tgid in [*range(MAX_EACH + 1), MAX_EACH]:
        made.add(of_pod(1, tgid))

    assert MAX_EACH + 1 == stands_for(made)


def test_a_record_whose_report_is_on_its_way_counts_no_more(tmp_path: Path) -> None:
    """The report has said how many there are: the next victim has a record of its own, which counts the rest."""
    made = spool(tmp_path)
    for tgid in range(MAX_EACH):
        made.complete(made.add(of_pod(1, tgid)) or "")
    own, more = made.add(of_pod(1, 1000)), made.add(of_pod(1, 1001))

    assert (MAX_EACH + 1, None) == (len(made.pending), more)
    found = made.read(own or "")
    assert found is not None
    assert 1 == found.repeats


def test_what_an_earlier_agent_left_counts_no_more(tmp_path: Path) -> None:
    """It may have been sent."""
    before = spool(tmp_path)
    for tgid in range(MAX_EACH):
        before.add(of_pod(1, tgid))
    made = spool(tmp_path)
    for name in made.pending:
        made.read(name)
        made.untouched(name)

    assert made.add(of_pod(1, 1000)) is not None


def test_a_finished_report_goes_on_counting(tmp_path: Path) -> None:
    """It takes the record's place while nothing can be sent."""
    made = spool(tmp_path)
    for tgid in range(MAX_EACH):
        name = kept(made, of_pod(1, tgid))
    made.add(of_pod(1, 1000))
    found = made.read(name)

    assert found is not None
    assert (REPORT, 1) == (found.report, found.repeats)


def test_the_container_with_the_most_gives_way(tmp_path: Path) -> None:
    """Not the oldest of all: those of others stay, also where an earlier agent left them."""
    before = spool(tmp_path)
    others = [before.add(of_pod(number, number)) for number in range(2, 7)]
    for tgid in range(1000, 1020):
        before.add(of_pod(1, tgid))
    made = spool(tmp_path, max_files=20)
    for tgid in range(2000, 2020):
        made.add(of_pod(1, tgid))

    assert (20, 25) == (len(made.pending), made.dropped)
    assert set(others) <= set(made.pending)


def test_nested_cgroups_are_their_containers(tmp_path: Path) -> None:
    """Who may make cgroups has no more room for it."""
    made = spool(tmp_path)
    for tgid in range(2 * MAX_EACH):
        made.add(bytes(record(f"{OTHER.format(1)}/deep{tgid}", (1, 2, 3, 4, 5), victim_tgid=tgid)))

    assert MAX_EACH == len(made.pending)


# What came back.


def test_what_was_reported_and_is_there_again_is_removed(tmp_path: Path) -> None:
    """After a power loss: the removal had not reached the disk, and the checkpoint had."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    made.remember((name,))

    assert ((), [], 0) == (made.pending, names(tmp_path), made.dropped)


def test_a_removal_is_made_to_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next turn, one for all."""
    made = spool(tmp_path)
    for tgid in (1, 2):
        made.done(made.add(raw(tgid)) or "")
    synced: list[Path] = []
    monkeypatch.setattr(module, "sync_folder", synced.append)
    made.retry_held()
    made.retry_held()

    assert [tmp_path / "spool"] == synced


# Finished reports.

EVENT = {
    "eventTime": "2026-11-25T12:00:00.000001Z",
    "note": "killed",
    "reason": "OOMVictimKilled",
    "metadata": {"name": "web-0.1", "namespace": "shop"},
    "regarding": {"uid": "web-0"},
}
REPORT = read_report(EVENT, {"pod": "web-0"})


def kept(made: Spool, record_: bytes) -> str:
    name = made.add(record_)
    assert name is not None
    spooled = made.read(name)
    assert spooled is not None
    made.keep(name, spooled, REPORT)
    return name


def test_a_finished_report_takes_the_records_place(tmp_path: Path) -> None:
    """It is still one victim, also for the next agent, and known to be the same."""
    name = kept(spool(tmp_path), raw())
    again = spool(tmp_path)
    spooled = again.read(name)

    assert ((name,), [f"{name}.victim"]) == (again.pending, names(tmp_path))
    assert spooled is not None
    assert (REPORT, b"") == (spooled.report, spooled.raw)
    assert again.add(raw()) is None
    assert again.bytes == (tmp_path / "spool" / f"{name}.victim").stat().st_size


def test_a_finished_report_keeps_its_place_in_the_order(tmp_path: Path) -> None:
    """Nothing overtakes it, in this process or the next."""
    made = spool(tmp_path)
    names_ = [made.add(raw(tgid, boottime_ns=tgid * 10**9)) for tgid in (1, 2, 3)]
    first = made.read(names_[0] or "")
    assert first is not None
    early = read_report({**EVENT, "eventTime": "1970-01-01T00:00:01.000000Z"}, {})
    made.keep(names_[0] or "", first, early)

    assert tuple(names_) == made.pending == spool(tmp_path).pending


def test_a_full_disk_leaves_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be named again later; it is said."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    spooled = made.read(name)
    assert spooled is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _no_space)
        made.keep(name, spooled, REPORT)

    assert "the report of victim" in caplog.text
    found = spool(tmp_path).read(name)
    assert found is not None
    assert raw() == found.raw


def test_a_record_that_the_disk_did_not_take_can_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, and then on the disk as soon as that takes it."""
    made = spool(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _no_space)
        name = kept(made, raw())
    made.retry_held()
    found = spool(tmp_path).read(name)

    assert found is not None
    assert REPORT == found.report
