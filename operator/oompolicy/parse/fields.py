# SPDX-License-Identifier: Apache-2.0
"""Read raw values by type, each with its path in the object.

A value of the wrong type is reported and replaced by a placeholder of the right type, so that reading goes on and
finds the next problem. No placeholder leaves this package: `Report.refuse_if_any` comes before the object is built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from oompolicy.parse.problems import Report

_NAMES: Final = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", type(None): "null"}


class _Absent:
    """The value of a field that is missing."""


ABSENT: Final = _Absent()


def kind_of(value: object) -> str:
    """Return the type of a raw value, in the words of a message."""
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list) else _NAMES.get(type(value), type(value).__name__)


@dataclass(frozen=True, slots=True)
class Field:
    """A raw value, its path from the top of the object, and the report that collects its problems."""

    value: object
    path: str
    report: Report

    def __bool__(self) -> bool:
        """Return True if the object has the field. Its value may be null."""
        return self.value is not ABSENT

    def problem(self, message: str) -> None:
        """Report this field."""
        self.report.add(self.path, message)

    def child(self, name: str) -> "Field":
        """Return the field `name` of this object. It is absent if this value is no object."""
        value = self.value.get(name, ABSENT) if isinstance(self.value, Mapping) else ABSENT
        return Field(value, self._path_of(name), self.report)

    def _path_of(self, name: str) -> str:
        # As the API server writes it: a label's key has dots of its own.
        if "." in name or "/" in name:
            return f"{self.path}[{name}]"
        return f"{self.path}.{name}" if self.path else name

    def members(self) -> dict[str, "Field"]:
        """Return the fields of this object by name. Report a value that is no object."""
        if not isinstance(self.value, Mapping):
            self.problem(f"must be an object, not {kind_of(self.value)}")
            return {}
        for key in self.value:
            if not isinstance(key, str):
                self.problem(f"the key {key!r} must be a string; put it in quotes")
        return {key: self.child(key) for key in self.value if isinstance(key, str)}

    def known(self, *names: str, required: tuple[str, ...] = ()) -> None:
        """Report a value that is no object, each unknown field, and each required field that is missing."""
        members = self.members()
        for name, member in members.items():
            if name not in names:
                self.report.add_unknown(member.path, f"unknown field; known are {', '.join(names)}")
        for name in required:
            if name not in members and isinstance(self.value, Mapping):
                self.child(name).problem("is required")

    def items(self) -> list["Field"]:
        """Return the members of a list that must not be empty."""
        if not isinstance(self.value, list):
            self.problem(f"must be a list, not {kind_of(self.value)}")
            return []
        if not self.value:
            self.problem("must not be empty: leave the field out")
        return [Field(value, f"{self.path}[{index}]", self.report) for index, value in enumerate(self.value)]

    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        # bool is an int to Python, not to the API server.
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.problem(f"must be an integer from {low} to {high}, not {kind_of(self.value)}")
            return low
        if not low <= self.value <= high:
            self.problem(f"must be from {low} to {high}, not {self.value}")
            return low
        return self.value

    def boolean(self) -> bool:
        """Return a boolean."""
        if isinstance(self.value, bool):
            return self.value
        self.problem(f"must be a boolean, not {kind_of(self.value)}")
        return False

    def text(self) -> str:
        """Return a string."""
        if isinstance(self.value, str):
            return self.value
        quotes = "; put it in quotes" if isinstance(self.value, bool | int | float) else ""
        self.problem(f"must be a string, not {kind_of(self.value)}{quotes}")
        return ""

    def name(self, wrong: Callable[[str], str | None]) -> str:
        """Return a string. Report the message that `wrong`, of `oompolicy.parse.names`, returns for it."""
        text = self.text()
        if isinstance(self.value, str) and (message := wrong(text)):
            self.problem(message)
        return text
