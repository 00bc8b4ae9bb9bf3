# SPDX-License-Identifier: Apache-2.0
"""The result of the loader's proof: what the loader writes into loader.json, and the agent reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class ProofReason(StrEnum):
    """The result in one word. docs/reference.md explains each of them."""

    PROVED = "Proved"
    WRONG_VICTIM = "WrongVictim"
    NO_VICTIM = "NoVictim"
    NOT_POSSIBLE = "ProofNotPossible"
    TURNED_OFF = "ProofTurnedOff"

    @property
    def status(self) -> str:
        """The status of the condition Proven: True, False, or Unknown if nothing is shown either way."""
        if self is ProofReason.PROVED:
            return "True"
        return "False" if self in (ProofReason.WRONG_VICTIM, ProofReason.NO_VICTIM) else "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The result, and what it holds for: one boot, object, hook and kernel. `message` is one sentence."""

    reason: ProofReason
    message: str
    time: str
    boot: str
    object: str
    hook: str
    kernel: str

    @property
    def failed(self) -> bool:
        """True if an OOM has shown that the kernel does not follow the priorities."""
        return self.reason.status == "False"

    def holds_for(self, other: Proof) -> bool:
        """Return True if this result is about the same boot, object, hook and kernel as the other one."""
        return (self.boot, self.object, self.hook, self.kernel) == (other.boot, other.object, other.hook, other.kernel)

    def to_json(self) -> dict[str, Any]:
        """Return the value of the key `proof` in loader.json."""
        return {"status": self.reason.status, **asdict(self)}


def parse(found: object) -> Proof | None:
    """Return the result in the key `proof` of loader.json, or None if there is none that this version can read."""
    if not isinstance(found, Mapping):
        return None
    try:
        words = {name: found[name] for name in ("message", "time", "boot", "object", "hook", "kernel")}
        reason = ProofReason(found["reason"])
    except (KeyError, ValueError):
        return None
    return Proof(reason=reason, **words) if all(isinstance(word, str) for word in words.values()) else None
