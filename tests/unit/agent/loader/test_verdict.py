# SPDX-License-Identifier: Apache-2.0
"""The verdict about the OOMs of a proof."""

from dataclasses import replace

import pytest

from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.loader.proof.verdict import BIG, SMALL, Observed, judge

GOOD_SMALL = Observed(lowest=SMALL, kills=frozenset({SMALL}), ooms=1, undisturbed=True)
GOOD_BIG = Observed(lowest=BIG, kills=frozenset({BIG}), ooms=1, undisturbed=True)


def test_the_lowest_priority_died_in_both_ooms() -> None:
    found = judge([GOOD_SMALL, GOOD_BIG])

    assert ProofReason.PROVED is found.reason
    assert "in 2 OOMs" in found.message


def test_a_big_process_that_asks_again_too_early_may_die_as_the_second() -> None:
    """After the death of the big process no process asks for memory, so the small one was the first."""
    assert ProofReason.PROVED is judge([replace(GOOD_SMALL, kills=frozenset({SMALL, BIG})), GOOD_BIG]).reason


@pytest.mark.parametrize(
    ("wrong", "reason", "message"),
    [
        (replace(GOOD_SMALL, kills=frozenset({BIG})), ProofReason.WRONG_VICTIM, "the kernel killed the big one"),
        (replace(GOOD_BIG, kills=frozenset({SMALL})), ProofReason.WRONG_VICTIM, "the kernel killed the small one"),
        (replace(GOOD_BIG, kills=frozenset({SMALL, BIG})), ProofReason.WRONG_VICTIM, "killed the small one"),
        (replace(GOOD_BIG, kills=frozenset()), ProofReason.NO_VICTIM, "killed no process"),
        (replace(GOOD_BIG, kills=frozenset(), ooms=0), ProofReason.NOT_POSSIBLE, "could not fill their cgroup"),
        (replace(GOOD_SMALL, ooms=0), ProofReason.NOT_POSSIBLE, "the node ran out of memory"),
        (replace(GOOD_SMALL, kills=frozenset({BIG}), undisturbed=False), ProofReason.NOT_POSSIBLE, "another program"),
    ],
)
def test_one_bad_oom_is_enough(wrong: Observed, reason: ProofReason, message: str) -> None:
    """The verdict is about the first OOM that was not as it should be."""
    for rounds in ([wrong], [GOOD_SMALL, wrong], [wrong, replace(GOOD_BIG, kills=frozenset())]):
        found = judge(rounds)
        assert reason is found.reason
        assert message in found.message
