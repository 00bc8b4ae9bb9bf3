# SPDX-License-Identifier: Apache-2.0
"""The OOMSettings object: its problem or its contents, and the last valid contents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oompolicy.oomsettings import NAME
from oompolicy.parse import InvalidObject, parse_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.oomsettings import OOMSettings
    from oompolicy.parse.problems import Problem


@dataclass(frozen=True, slots=True)
class SettingsRecord:
    """The object as it is now. `spec` and `status` are raw, and are only compared."""

    uid: str
    generation: int
    problem: str | None
    unknown_fields: tuple[str, ...]
    spec: object
    status: Mapping[str, Any]


class SettingsTable:
    """The settings. Only this class reads the raw object."""

    def __init__(self) -> None:
        self.record: SettingsRecord | None = None
        self.valid: OOMSettings | None = None
        """The last valid settings. An object that is not valid does not replace them.

        It is None before the first valid object, and after the object was deleted. Then all nodes stay as they are.
        Otherwise, deleting an OOMSettings that stops everything would start it.
        """

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Record an object of the API server. Return True if more than its status is new."""
        metadata, status = raw["metadata"], raw.get("status") or {}
        if metadata["name"] != NAME:
            return False  # from before the rule for the name
        uid, generation = metadata["uid"], metadata["generation"]
        same = self.record if self.record and self.record.uid == uid else None
        if same and same.generation > generation:
            return False  # an older object can arrive after a newer one, because lists and watches run at the same time
        if same and same.generation == generation and same.spec == raw.get("spec"):
            self.record = replace(same, status=status)
            return False
        unknown: list[Problem] = []
        problem = None
        try:
            self.valid = parse_settings(raw, unknown=unknown)
        except InvalidObject as error:
            problem = "; ".join(f"{each.field}: {each.message}" for each in error.problems)
        fields = tuple(each.field for each in unknown)
        self.record = SettingsRecord(uid, generation, problem, fields, raw.get("spec"), status)
        return True

    def drop(self, uid: str) -> bool:
        """Remove a deleted object. Return True if it was known."""
        if self.record is None or self.record.uid != uid:
            return False
        self.record = self.valid = None
        return True

    def replace(self, raws: Iterable[Mapping[str, Any]], known_before: str) -> bool:
        """Record a list of all objects. The object with the uid `known_before` was known when the list was requested.

        Return True if more than the status is new.
        """
        found = [raw for raw in raws if raw["metadata"]["name"] == NAME]
        if found:
            return self.put(found[0])
        return self.drop(known_before)
