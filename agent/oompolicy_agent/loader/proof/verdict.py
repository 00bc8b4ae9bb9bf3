# SPDX-License-Identifier: Apache-2.0
"""Judges the OOMs of a proof. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.proof import ProofReason

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The state after one OOM. `kills` are the OOM killer's, by the name of the process.

    `ooms` is how often the cgroup of the proof ran out of memory. `undisturbed` is False if another program changed the
    entries of the proof.
    """

    lowest: str
    kills: frozenset[str]
    ooms: int
    undisturbed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement, with one sentence about it."""

    reason: ProofReason
    message: str


SMALL, BIG = "small", "big"
"""The names of the two processes. Only the big one asks for memory, and the kernel alone would always kill it."""


def first_victim(kills: frozenset[str]) -> str | None:
    """Return the process that was killed first, or None.

    A small process that was killed was the first: after the death of the big one no process asks for memory. The big
    process may be killed as the second one, if it asks again before the memory of the small one is free.
    """
    return SMALL if SMALL in kills else next(iter(kills), None)


def judge(rounds: Iterable[Observed]) -> Verdict:
    """Return the verdict about all rounds: that of the first round which is not as it should be."""
    count = 0
    for each in rounds:
        count += 1
        if verdict := _complaint(each):
            return verdict
    return Verdict(
        ProofReason.PROVED, f"in {count} OOMs that the loader made, the process with the lowest priority was killed"
    )


def _complaint(observed: Observed) -> Verdict | None:
    if not observed.undisturbed:
        return Verdict(ProofReason.NOT_POSSIBLE, "another program changed the entries of the proof in the map")
    victim = first_victim(observed.kills)
    if not observed.ooms:
        # A kill without an OOM of the cgroup came from an OOM of the whole node.
        cause = (
            "the node ran out of memory meanwhile" if victim else "its processes could not fill their cgroup in time"
        )
        return Verdict(ProofReason.NOT_POSSIBLE, f"the loader could not make an OOM of its own: {cause}")
    if victim is None:
        return Verdict(ProofReason.NO_VICTIM, "in an OOM that the loader made, the kernel killed no process in time")
    if victim != observed.lowest:
        return Verdict(
            ProofReason.WRONG_VICTIM,
            f"in an OOM that the loader made, the {observed.lowest} process had the lowest priority, and the kernel "
            f"killed the {victim} one",
        )
    return None
