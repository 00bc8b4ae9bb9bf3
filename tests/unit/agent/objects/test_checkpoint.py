# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is saved completely or not at all, and an invalid one is left out with a warning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode
from oompolicy_agent.objects import checkpoint
from oompolicy_agent.objects.checkpoint import Checkpoint, boot_id, load, parse, save
from tests.unit.agent.fakes import BOOT, raw_pod

if TYPE_CHECKING:
    from pathlib import Path


def saved(path: Path, objects: list[dict[str, Any]]) -> Path:
    save(
        path,
        BOOT,
        json.dumps(objects),
        '[{"id": 1, "kind": "pod", "path": "/x"}]',
        reported=("a", "b"),
        refusals=("c",),
        mode=Mode.AUDIT,
        circuit=(5, 30),
        host_priority=0,
        defaults=Defaults(best_effort=5),
        kills=(7, 8),
    )
    return path


def test_a_saved_checkpoint_is_loaded(tmp_path: Path) -> None:
    """Each part is equal."""
    index = ({"id": 1, "kind": "pod", "path": "/x"},)

    expected = Checkpoint(
        BOOT, (raw_pod(),), index, ("a", "b"), ("c",), Mode.AUDIT, (5, 30), 0, Defaults(best_effort=5), (7, 8)
    )
    assert expected == load(saved(tmp_path / "c.json", [raw_pod()]))


def test_a_version_before_modes_has_enforced(tmp_path: Path) -> None:
    """So does the node after the upgrade, until its agent has read OOMSettings."""
    path = saved(tmp_path / "c.json", [])
    before = {key: value for key, value in json.loads(path.read_text()).items() if key != "mode"}
    path.write_text(json.dumps(before))
    found = load(path)

    assert found
    assert Mode.ENFORCE is found.mode


def test_an_earlier_version_has_saved_no_priorities() -> None:
    """An unknown class, of a later version, is ignored. So an older loader can read the checkpoint."""
    earlier = parse(b'{"version": 1, "bootId": "x"}')
    later = parse(b'{"version": 1, "bootId": "x", "defaults": {"burstable": 7, "windows": 1}}')

    assert (None, None) == (earlier.host_priority, earlier.defaults)
    assert Defaults(burstable=7) == later.defaults


def test_half_of_a_surrogate_pair_does_not_prevent_a_checkpoint(tmp_path: Path) -> None:
    """Otherwise the agent would end at every start."""
    save(tmp_path / "c.json", BOOT, '["\ud800"]', "[]")

    assert b'"objects": ["?"]' in (tmp_path / "c.json").read_bytes()


def test_a_missing_checkpoint_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the first start there is none."""
    assert load(tmp_path / "c.json") is None
    assert not caplog.records


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "bootId": "x"}',
        b'{"version": 1}',
        b'{"version": 1, "bootId": "x", "objects": {}}',
        b'{"version": 1, "bootId": "x", "objects": [1]}',
        b'{"version": 1, "bootId": "x", "reported": [{}]}',
        b'{"version": 1, "bootId": "x", "refusals": [1]}',
        b'{"version": 1, "bootId": "x", "hostPriority": 1001}',
        b'{"version": 1, "bootId": "x", "hostPriority": true}',
        b'{"version": 1, "bootId": "x", "defaults": [1]}',
        b'{"version": 1, "bootId": "x", "defaults": {"burstable": 1001}}',
        b'{"version": 1, "bootId": "x", "defaults": {"burstable": "1"}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_an_invalid_checkpoint_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    """A warning is logged, and the agent starts without it."""
    path = tmp_path / "c.json"
    path.write_bytes(data)

    assert load(path) is None
    assert ["WARNING"] == [record.levelname for record in caplog.records]
    assert str(path) in caplog.text


@given(st.data())
def test_a_cut_checkpoint_is_never_used(data: st.DataObject) -> None:
    """It is refused wherever it is cut, so a full disk or a crash leaves no wrong state."""
    text = b'{"version": 1,\n"bootId": "x",\n"objects": [{"kind": "Pod"}],\n"index": [],\n"reported": []}'
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match=r"line \d+ column \d+"):  # the message of json
        parse(text[:cut])


def test_a_crash_before_the_rename_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one has another name until the rename, and the next save overwrites it."""
    path = saved(tmp_path / "c.json", [raw_pod("old")])
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", _crash)
        with pytest.raises(OSError, match="crash"):
            saved(path, [raw_pod("new")])
    before = load(path)
    after = load(saved(path, [raw_pod("new")]))

    assert before is not None
    assert after is not None
    assert ["old", "new"] == [each.objects[0]["metadata"]["name"] for each in (before, after)]
    assert ["c.json"] == [each.name for each in tmp_path.iterdir()]


def _crash(*_: object) -> None:
    raise OSError("crash")


def test_only_the_owner_may_read_the_checkpoint(tmp_path: Path) -> None:
    """It has the names of all tenants' pods."""
    assert 0o600 == saved(tmp_path / "c.json", []).stat().st_mode & 0o777


def test_the_boot_has_an_id() -> None:
    """The id is the UUID in /proc."""
    assert 36 == len(boot_id())
    assert checkpoint.VERSION == 1
