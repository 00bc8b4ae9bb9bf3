# SPDX-License-Identifier: Apache-2.0
"""The file loader.json: the findings and actions of the loader, for the agent and for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel import proof
from oompolicy_agent.loader import safefiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.kernel.proof import Proof

_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderReport:
    """The content of loader.json.

    `object` is the hash of the object file and `links` are its programs. `message` says why the node does not enforce,
    or why the last attach changed nothing. Otherwise it is empty. `proof` is None if no attached program decides.
    """

    backend: str
    hook: str
    kernel_version: str
    boot_id: str
    object: str = ""
    attached: bool = False
    links: tuple[str, ...] = ()
    message: str = ""
    warnings: tuple[str, ...] = ()
    proof: Proof | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report with the keys of the contract."""
        found = {_camel(key): value for key, value in asdict(self).items()}
        return {**found, "proof": self.proof.to_json() if self.proof else None}


def write(path: Path, report: LoaderReport) -> None:
    """Replace the report at `path`. The new file belongs to root and everybody can read it. OSError."""
    safefiles.write(path, json.dumps(report.to_json(), indent=2) + "\n")


def read(path: Path) -> Mapping[str, Any]:
    """Return the JSON of the last report, or an empty one if no report can be read."""
    try:
        found = json.loads(safefiles.read(path, _LIMIT) or "{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def parse(found: Mapping[str, Any]) -> LoaderReport | None:
    """Return the report, or None if a key is missing: then no loader of this version wrote it."""
    try:
        return LoaderReport(
            backend=found["backend"],
            hook=found["hook"],
            kernel_version=found["kernelVersion"],
            boot_id=found["bootId"],
            object=found["object"],
            attached=found["attached"],
            links=tuple(found["links"]),
            message=found["message"],
            warnings=tuple(found["warnings"]),
            proof=proof.parse(found.get("proof")),
        )
    except (KeyError, TypeError):
        return None


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
