# SPDX-License-Identifier: Apache-2.0
"""A victim is on disk once before it is reported, and a crash in between does not lose it."""

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
    """Only the owner can read the file. It has the record, the boot and the clock offset."""
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
    """Two program generations deliver a record within moments, while it is spooled or after it was reported."""
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
def test_of_two_program_versions_the_record_with_more_candidates_is_kept(tmp_path: Path, first: dict[str, int]) -> None:
    """The older program sees only the remaining candidates, reports first, and does not know the spared process."""
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
    """During an upgrade the previous program reports first, and its record is shorter."""
    made = spool(tmp_path)
    newer = raw(trigger_cgroup_ids=[1, 2], **NEWER)
    name = made.add(old_record(record_of(raw(**NEWER))))
    assert name is not None

    assert made.add(newer) is None
    kept = made.read(name)
    assert kept is not None
    assert newer == kept.raw


def test_a_finished_report_is_not_replaced_by_a_record(tmp_path: Path) -> None:
    """Its pod may be forgotten by then, so the record could not be named again."""
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


def test_a_record_in_memory_is_replaced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays one victim, on disk and in memory."""
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


def test_a_crash_before_the_rename_leaves_no_file(tmp_path: Path) -> None:
    """The ring buffer still has the record and delivers it again."""
    spool(tmp_path).write_temporary("0" * 16, Spooled(BOOT, 0, raw()))
    again = spool(tmp_path)

    assert ((), []) == (again.pending, names(tmp_path))
    assert again.add(raw()) is not None


def test_a_crash_after_the_rename_leaves_one_victim(tmp_path: Path) -> None:
    """The ring buffer delivers the record again, and it stays one victim."""
    first = spool(tmp_path)
    name = first.add(raw())
    again = spool(tmp_path)

    assert (name,) == again.pending
    assert again.add(raw()) is None
    assert (name,) == again.pending


def test_the_checkpoint_remembers_reported_victims(tmp_path: Path) -> None:
    """A restart does not report them again."""
    first = spool(tmp_path)
    name = first.add(raw())
    assert name is not None
    first.done(name)
    again = spool(tmp_path)
    again.remember(first.reported)

    assert again.add(raw()) is None


def test_victims_are_read_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    """The next agent reads them in the same order."""
    first = spool(tmp_path)
    came = [first.add(raw(tgid)) for tgid in range(1, 6)]
    for age, name in enumerate(came):
        os.utime(tmp_path / "spool" / f"{name}.victim", ns=(age, age))

    assert came == list(first.pending) == list(spool(tmp_path).pending)


@settings(max_examples=20)  # the spool syncs each victim to the disk
@given(st.lists(st.integers(1, 8), max_size=12), st.integers(1, 5))
def test_the_spool_is_bounded_and_drops_the_oldest_victims(
    tmp_path_factory: pytest.TempPathFactory, tgids: list[int], bound: int
) -> None:
    """Drops are counted, and the files on disk are the pending victims."""
    folder = tmp_path_factory.mktemp("spool")
    made = spool(folder, max_files=bound)
    added = [made.add(raw(tgid)) for tgid in tgids]
    kept = [name for name in added if name is not None]

    assert kept[-bound:] == list(made.pending)
    assert made.dropped == len(kept) - len(made.pending)
    assert sorted(f"{name}.victim" for name in made.pending) == names(folder)


def test_the_spool_is_bounded_in_bytes(tmp_path: Path) -> None:
    """It knows its size after a restart too."""
    made = spool(tmp_path, max_bytes=4000)
    for tgid in range(1, 6):
        made.add(raw(tgid))

    assert 2 == len(made.pending)
    assert made.bytes <= 4000
    assert made.bytes == spool(tmp_path).bytes
    assert 1 == len(spool(tmp_path, max_files=1).pending)


def test_a_full_disk_loses_no_victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record waits in memory, can be reported from there, and is written when there is room."""
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


def test_the_number_of_records_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full, the oldest are dropped and counted."""
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
def test_an_unusable_file_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    """A warning is logged."""
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "0123456789abcdef.victim").write_bytes(data)
    made = spool(tmp_path)

    assert made.read("0123456789abcdef") is None
    assert ((), 1) == (made.pending, made.dropped)
    assert "0123456789abcdef" in caplog.text


def test_a_missing_file_is_dropped(tmp_path: Path) -> None:
    """Another program may have deleted it."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    (tmp_path / "spool" / f"{name}.victim").unlink()

    assert made.read(name) is None
    assert () == made.pending


def test_the_number_of_remembered_identities_is_bounded(tmp_path: Path) -> None:
    """The oldest are forgotten."""
    made = spool(tmp_path)
    made.remember(tuple(str(each) for each in range(MAX_REPORTED + 5)))

    assert (MAX_REPORTED, "5") == (len(made.reported), made.reported[0])


def test_a_record_of_another_size_is_an_error(tmp_path: Path) -> None:
    """Nothing is written, and the consumer of the ring buffer logs the error."""
    with pytest.raises(ValueError, match="has 5 bytes, expected 1656, or 1456 from before"):
        spool(tmp_path).add(b"short")
    assert [] == names(tmp_path)


# The share of one container.

OTHER = "kubepods.slice/kubepods-pod{:08}_bc8f_41cc_8570_f0ae38ab242e.slice/cri-containerd-" + "ab" * 32 + ".scope"


def of_pod(number: int, tgid: int, **fields: Any) -> bytes:  # noqa: ANN401
    return bytes(record(OTHER.format(number), (1, 2, 3, 4), victim_tgid=tgid, **fields))


def victims_in(made: Spool) -> int:
    """Return the number of victims that the spooled records stand for."""
    return sum(1 + spooled.repeats for name in made.pending if (spooled := made.read(name)))


def test_victims_beyond_a_containers_share_are_counted(tmp_path: Path) -> None:
    """Its newest record has their number, also for the next agent. Records of other containers stay."""
    made = spool(tmp_path)
    first = [made.add(of_pod(number, number)) for number in range(2, 7)]
    came = [made.add(of_pod(1, tgid, boottime_ns=tgid * 10**9)) for tgid in range(1000, 1000 + 3 * MAX_EACH)]
    newest = made.read(came[MAX_EACH - 1] or "")

    assert [None] * 2 * MAX_EACH == came[MAX_EACH:]
    assert (*first, *came[:MAX_EACH]) == made.pending
    assert newest is not None
    assert 2 * MAX_EACH == newest.repeats
    assert abs((1000 + 3 * MAX_EACH - 1) * 10**9 + newest.realtime_offset_ns - newest.last_ns) < 10**9
    assert 5 + 3 * MAX_EACH == victims_in(made) == victims_in(spool(tmp_path))
    assert 0 == made.dropped


def test_a_counted_victim_is_counted_once(tmp_path: Path) -> None:
    """Two program generations deliver it."""
    made = spool(tmp_path)
    for tgid in [*range(MAX_EACH + 1), MAX_EACH]:
        made.add(of_pod(1, tgid))

    assert MAX_EACH + 1 == victims_in(made)


def test_a_record_with_a_report_under_way_counts_no_more_victims(tmp_path: Path) -> None:
    """The report has its number already, so the next victim gets a record of its own, which counts the rest."""
    made = spool(tmp_path)
    for tgid in range(MAX_EACH):
        made.complete(made.add(of_pod(1, tgid)) or "")
    own, more = made.add(of_pod(1, 1000)), made.add(of_pod(1, 1001))

    assert (MAX_EACH + 1, None) == (len(made.pending), more)
    found = made.read(own or "")
    assert found is not None
    assert 1 == found.repeats


def test_a_record_of_an_earlier_agent_counts_no_more_victims(tmp_path: Path) -> None:
    """Its report may have been sent."""
    before = spool(tmp_path)
    for tgid in range(MAX_EACH):
        before.add(of_pod(1, tgid))
    made = spool(tmp_path)
    for name in made.pending:
        made.read(name)
        made.untouched(name)

    assert made.add(of_pod(1, 1000)) is not None


def test_a_finished_report_counts_more_victims(tmp_path: Path) -> None:
    """It replaces the record while nothing can be sent."""
    made = spool(tmp_path)
    for tgid in range(MAX_EACH):
        name = kept(made, of_pod(1, tgid))
    made.add(of_pod(1, 1000))
    found = made.read(name)

    assert found is not None
    assert (REPORT, 1) == (found.report, found.repeats)


def test_the_container_with_most_records_loses_its_oldest(tmp_path: Path) -> None:
    """Records of other containers stay, also those of an earlier agent."""
    before = spool(tmp_path)
    others = [before.add(of_pod(number, number)) for number in range(2, 7)]
    for tgid in range(1000, 1020):
        before.add(of_pod(1, tgid))
    made = spool(tmp_path, max_files=20)
    for tgid in range(2000, 2020):
        made.add(of_pod(1, tgid))

    assert (20, 25) == (len(made.pending), made.dropped)
    assert set(others) <= set(made.pending)


def test_nested_cgroups_share_their_containers_records(tmp_path: Path) -> None:
    """A container gets no more room by making cgroups."""
    made = spool(tmp_path)
    for tgid in range(2 * MAX_EACH):
        made.add(bytes(record(f"{OTHER.format(1)}/deep{tgid}", (1, 2, 3, 4, 5), victim_tgid=tgid)))

    assert MAX_EACH == len(made.pending)


# Records that return after a power loss.


def test_a_reported_victim_that_is_on_disk_again_is_removed(tmp_path: Path) -> None:
    """After a power loss the checkpoint was on the disk, and the removal was not."""
    made = spool(tmp_path)
    name = made.add(raw())
    assert name is not None
    made.remember((name,))

    assert ((), [], 0) == (made.pending, names(tmp_path), made.dropped)


def test_removals_are_synced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next turn syncs the folder once for all removals."""
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


def test_a_finished_report_replaces_its_record(tmp_path: Path) -> None:
    """It stays the same victim, also for the next agent."""
    name = kept(spool(tmp_path), raw())
    again = spool(tmp_path)
    spooled = again.read(name)

    assert ((name,), [f"{name}.victim"]) == (again.pending, names(tmp_path))
    assert spooled is not None
    assert (REPORT, b"") == (spooled.report, spooled.raw)
    assert again.add(raw()) is None
    assert again.bytes == (tmp_path / "spool" / f"{name}.victim").stat().st_size


def test_a_finished_report_keeps_its_place_in_the_order(tmp_path: Path) -> None:
    """This holds in this process and in the next."""
    made = spool(tmp_path)
    names_ = [made.add(raw(tgid, boottime_ns=tgid * 10**9)) for tgid in (1, 2, 3)]
    first = made.read(names_[0] or "")
    assert first is not None
    early = read_report({**EVENT, "eventTime": "1970-01-01T00:00:01.000000Z"}, {})
    made.keep(names_[0] or "", first, early)

    assert tuple(names_) == made.pending == spool(tmp_path).pending


def test_a_full_disk_keeps_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The record can be named again later. A warning is logged."""
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


def test_a_record_in_memory_can_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report waits in memory, and is written when the disk has room."""
    made = spool(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _no_space)
        name = kept(made, raw())
    made.retry_held()
    found = spool(tmp_path).read(name)

    assert found is not None
    assert REPORT == found.report
