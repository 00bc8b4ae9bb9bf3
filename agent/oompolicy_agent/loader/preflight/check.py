# SPDX-License-Identifier: Apache-2.0
"""The rows of `preflight`: what a check has found, and what that rules out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    """Something to know, which rules nothing out."""
    NO = "no"
    UNKNOWN = "unknown"


class Way(StrEnum):
    """A part of enforcing or observing that a check can rule out."""

    ATTACH = "attach programs"
    LOAD = "load a module"
    BUILD = "build the module"
    SCORES = "write scores"
    LOG = "read the kernel's log"


@dataclass(frozen=True, slots=True)
class Check:
    """One row. `ways` are those that a verdict `no` rules out, and that depend on an unknown fact."""

    name: str
    found: str
    verdict: Verdict = Verdict.OK
    consequence: str = ""
    ways: frozenset[Way] = frozenset()


def row(name: str, good: str, bad: str, obstacle: str | None, *rules_out: Way) -> Check:
    """Return the row of a fact that either rules ways out, with the sentence `obstacle`, or is good."""
    if obstacle is None:
        return Check(name, good)
    return Check(name, bad, Verdict.NO, obstacle, ways(*rules_out))


def ways(*each: Way) -> frozenset[Way]:
    """Return the set of these ways."""
    return frozenset(each)
