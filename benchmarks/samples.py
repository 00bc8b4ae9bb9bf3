# SPDX-License-Identifier: Apache-2.0
"""The guest's measurements, and the file that brings them to the host."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One selection that ended in a kill."""

    tasks: int
    scope: str
    variant: str
    round: int
    ns: int


@dataclass(frozen=True)
class Answers:
    """The average number of calls of oompolicy's program in one selection of `tasks`, and of each of its answers."""

    tasks: int
    scope: str
    asked: int
    select: int
    next: int
    no_policy: int


@dataclass(frozen=True)
class Run:
    """All measurements of one guest."""

    kernel: str
    seconds: float
    samples: list[Sample]
    answers: list[Answers]

    def write(self, path: Path) -> None:
        """Write the measurements into a file for the host."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read the file that the guest wrote."""
        raw = json.loads(path.read_text())
        samples = [Sample(**one) for one in raw.pop("samples")]
        answers = [Answers(**one) for one in raw.pop("answers")]
        return cls(**raw, samples=samples, answers=answers)
