# SPDX-License-Identifier: Apache-2.0
"""The last valid settings stay in effect until newer valid settings replace them, or until the object is deleted."""

from __future__ import annotations

from oompolicy.controller.settingstable import SettingsTable
from oompolicy.oomsettings import Mode
from tests.unit.controller.raws import raw_settings


def listed(*modes: str) -> SettingsTable:
    table = SettingsTable()
    table.replace([raw_settings(mode) for mode in modes], "")
    return table


def test_without_an_object_there_are_no_settings() -> None:
    """This is so before the first list, and after an empty one."""
    assert SettingsTable().valid is None
    assert listed().valid is None
    assert listed("Off").valid is not None


def test_settings_that_are_not_valid_change_nothing() -> None:
    """The record has the problem, and the last valid settings stay."""
    table = listed("Off")
    assert table.put(raw_settings("Sometimes", generation=2))

    assert table.valid is not None
    assert Mode.OFF is table.valid.mode
    assert table.record is not None
    assert table.record.problem == "spec.mode: must be one of Enforce, Audit, Off, not 'Sometimes'"


def test_an_operator_that_starts_with_settings_that_are_not_valid_has_none() -> None:
    """It does not know the modes that the nodes have got from earlier settings, so it must not change them."""
    table = listed("Sometimes")
    assert table.valid is None
    table.put(raw_settings("Off", generation=2))
    assert table.valid is not None


def test_settings_of_a_newer_version_are_applied_without_their_unknown_fields() -> None:
    """The record has the names of these fields."""
    raw = raw_settings("Off")
    raw["spec"]["newField"] = 1
    table = SettingsTable()
    table.put(raw)

    assert table.valid is not None
    assert table.record is not None
    assert (None, ("spec.newField",)) == (table.record.problem, table.record.unknown_fields)


def test_a_status_alone_is_no_change() -> None:
    """The operator's own writes come back as events."""
    table = listed("Off")
    before = table.valid
    assert not table.put(raw_settings("Off", status={"observedGeneration": 1}))

    assert table.valid is before
    assert table.record is not None
    assert {"observedGeneration": 1} == table.record.status


def test_an_older_object_is_ignored() -> None:
    """A list and a watch run at the same time."""
    table = listed("Off")
    table.put(raw_settings("Audit", generation=3))
    assert not table.put(raw_settings("Enforce", generation=2))

    assert table.valid is not None
    assert Mode.AUDIT is table.valid.mode


def test_a_deletion_concerns_only_the_known_object() -> None:
    """An object that was created again under the same name has another uid."""
    table = listed("Off")
    assert not table.drop("another")
    assert table.drop("uid-settings")
    assert [None, None] == [table.valid, table.record]


def test_a_list_without_the_object_drops_only_an_object_that_was_known_before() -> None:
    """An object that was created since the request may be missing from the list."""
    table = listed("Off")
    assert not table.replace([], "")
    assert table.valid is not None
    assert table.replace([], "uid-settings")
    assert table.valid is None


def test_an_object_of_another_name_has_no_effect() -> None:
    """The API server refuses to create one."""
    table = listed()
    assert not table.put(raw_settings("Off", name="team-a"))
    assert not table.replace([raw_settings("Off", name="team-a")], "")

    assert table.valid is None
