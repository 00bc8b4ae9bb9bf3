# SPDX-License-Identifier: Apache-2.0
"""What the guest measured, as it travels to the host."""

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
    """What our program was asked in one selection of `tasks`, on average, and what it answered."""

    tasks: int
    scope: str
    asked: int
    select: int
    next: int
    no_policy: int


@dataclass(frozen=True)
class Run:
    """Everything of one guest."""

    kernel: str
    seconds: float
    samples: list[Sample]
    answers: list[Answers]

    def write(self, path: Path) -> None:
        """Leave it for the host."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Run:
        """Take up what the guest left."""
        raw = json.loads(path.read_text())
        samples = [Sample(**one) for one in raw.pop("samples")]
        answers = [Answers(**one) for one in raw.pop("answers")]
        return cls(**raw, samples=samples, answers=answers)
