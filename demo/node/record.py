# SPDX-License-Identifier: Apache-2.0
"""The figures of both acts, as the guest hands them to the host: JSON in a file. Pure but for the file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ARTIFACT: Final = Path("/artifacts/demo.json")
"""The place of the file in the guest. The harness hands all files of this folder to the host."""
ORDER: Final = Path("/artifacts/order.json")
"""The place of the agent's answer to `oompolicy order` before the last act's OOM."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod at the moment when the node ran out of memory.

    `place` is the namespace and the name. `oom_score` is from before the report grew. `priority` is None where no
    policy was in force.
    """

    place: str
    mib: int
    oom_score: int
    priority: int | None
    killed: bool


@dataclass(frozen=True, slots=True)
class Record:
    """Both acts on one kernel. Each act lists its pods in the same order."""

    kernel: str
    without: tuple[Pod, ...]
    with_policy: tuple[Pod, ...]


def save(record: Record, path: Path = ARTIFACT) -> None:
    """Write the record as JSON."""
    path.write_text(json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record that `save` wrote."""
    raw = json.loads(path.read_text())
    return Record(
        kernel=raw["kernel"],
        without=tuple(Pod(**pod) for pod in raw["without"]),
        with_policy=tuple(Pod(**pod) for pod in raw["with_policy"]),
    )
