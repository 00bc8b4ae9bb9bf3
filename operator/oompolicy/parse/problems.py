# SPDX-License-Identifier: Apache-2.0
"""The problems of an object, each with its place.

`InvalidObject` is the only exception of this package: a ValueError that carries every problem, not only the first.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a manifest. `object` is like `OOMPolicy/databases`, and `field` like `spec.priority.value`.

    Both are empty if the problem has no object or no field.
    """

    file: str | None
    object: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.object, self.field, self.message) if part)


class InvalidObject(ValueError):  # noqa: N818 - it says what is the matter, and "error" would add nothing
    """An object that cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class Report:
    """Collects the problems of one object while it is read.

    An unknown field is a problem too, unless there is a list `unknown` for such fields.
    """

    def __init__(self, name: str, unknown: list[Problem] | None = None) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._unknown = self.problems if unknown is None else unknown

    def add(self, field: str, message: str) -> None:
        """Remember a problem."""
        self.problems.append(Problem(None, self.name, field, message))

    def add_unknown(self, field: str, message: str) -> None:
        """Remember a field that is not known."""
        self._unknown.append(Problem(None, self.name, field, message))

    def refuse_if_any(self) -> None:
        """Raise `InvalidObject` if there was a problem."""
        if self.problems:
            raise InvalidObject(tuple(self.problems))
