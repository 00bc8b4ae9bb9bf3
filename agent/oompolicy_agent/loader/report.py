# SPDX-License-Identifier: Apache-2.0
"""loader.json: what the loader found and did, for the agent and for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.loader import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`object` is the hash of the object file, `links` its programs; `message` says why the node does not enforce."""

    backend: str
    hook: str
    kernel_version: str
    boot_id: str
    object: str = ""
    attached: bool = False
    links: tuple[str, ...] = ()
    message: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """With the keys of the contract."""
        return {_camel(key): value for key, value in asdict(self).items()}


def write(path: Path, report: Report) -> None:
    """Replace the report; root's and readable for all."""
    plain.write(path, json.dumps(report.to_json(), indent=2) + "\n")


def read(path: Path) -> Mapping[str, Any]:
    """The last report; empty where there is none that can be read."""
    try:
        found = json.loads(plain.read(path, _LIMIT) or "{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def parse(found: Mapping[str, Any]) -> Report | None:
    """None for what no loader of this version wrote."""
    try:
        return Report(
            backend=found["backend"],
            hook=found["hook"],
            kernel_version=found["kernelVersion"],
            boot_id=found["bootId"],
            object=found["object"],
            attached=found["attached"],
            links=tuple(found["links"]),
            message=found["message"],
            warnings=tuple(found["warnings"]),
        )
    except (KeyError, TypeError):
        return None


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
