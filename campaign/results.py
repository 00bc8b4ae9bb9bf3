# SPDX-License-Identifier: Apache-2.0
"""The file of results: one line of JSON for each round that ended, and for each one that failed."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from campaign.plan import Round

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Wrong:
    """A difference to the model: the number of the OOM in its round, and the scene in words."""

    oom: int
    difference: str


@dataclass(frozen=True)
class Found:
    """The part of a result that the guest knows. `kills` counts the processes that died."""

    release: str
    kills: int
    wrong: list[Wrong] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """One run of a round. `failure` is empty, or the reason for which the round did not end, in a sentence."""

    round: Round
    commit: str
    date: str
    seconds: float
    found: Found
    failure: str = ""


def found_from(raw: dict[str, object]) -> Found:
    """Return the guest's part from its JSON."""
    wrong = raw.pop("wrong")
    assert isinstance(wrong, list)  # noqa: S101 (the guest's module writes it)
    return Found(**raw, wrong=[Wrong(**each) for each in wrong])  # type: ignore[arg-type]


def read(path: Path) -> list[Result]:
    """Return the results so far. A last line that was cut counts as missing."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [_result(json.loads(line)) for line in lines]


def append(path: Path, result: Result) -> None:
    """Add a result, in place of a last line that was cut. Another process may add one at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(asdict(result)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _result(raw: dict[str, dict[str, object]]) -> Result:
    return Result(**{**raw, "round": Round(**raw["round"]), "found": found_from(raw["found"])})  # type: ignore[arg-type]
