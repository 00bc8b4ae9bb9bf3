# SPDX-License-Identifier: Apache-2.0
"""The plan has every target and variant at each seed, and a resumed campaign runs the rounds that have not ended."""

from __future__ import annotations

import re

import pytest

from campaign.plan import TARGETS, Round, UnknownRoundError, named, of_backend, plan, remaining
from campaign.results import Found, Result
from tests.node.scene import VARIANTS
from vmtest import kernels


def ended(one: Round, failure: str = "") -> Result:
    return Result(one, "abc", "2026-11-28", 60.0, Found("6.12", 70), failure)


def test_the_plan_ends_at_the_round_that_reaches_the_total() -> None:
    assert 200 == len(plan(10_000, 50))
    assert 3 == len(plan(101, 50))
    assert [] == plan(0, 50)


def test_a_seed_has_all_targets_and_variants_before_the_next_seed() -> None:
    """Scores have no rules, so the hook has one variant more."""
    cells = [(*target, variant) for target in TARGETS for variant in VARIANTS]
    cells = [cell for cell in cells if cell[1:] != ("scores", "rules")]
    rounds = plan(2 * len(cells), 1)

    for seed in (1, 2):
        found = [(one.kernel, one.backend, one.variant) for one in rounds if one.seed == seed]
        assert sorted(cells) == sorted(found)
    assert [1] * len(cells) + [2] * len(cells) == [one.seed for one in rounds]


def test_the_rounds_of_one_backend_keep_their_order() -> None:
    rounds = plan(1_000, 10)

    assert rounds == of_backend(rounds, None)
    assert [each for each in rounds if each.backend == "scores"] == of_backend(rounds, "scores")


def test_two_plans_of_any_total_begin_with_the_same_rounds() -> None:
    """A campaign that was ended with a smaller total can be continued."""
    assert plan(10_000, 50)[:7] == plan(350, 50)


def test_a_short_run_has_every_target_and_every_variant() -> None:
    rounds = plan(13 * 50, 50)

    assert set(TARGETS) == {(one.kernel, one.backend) for one in rounds}
    assert set(VARIANTS) == {one.variant for one in rounds}


def test_every_kernel_of_the_plan_can_be_booted() -> None:
    assert {kernel for kernel, _ in TARGETS} <= set(kernels.names())


def test_a_round_that_ended_does_not_run_again_and_one_that_failed_does() -> None:
    first, second, third = plan(150, 50)

    assert [second, third] == remaining([first, second, third], [ended(first), ended(second, "the guest panicked")])


def test_a_round_that_ended_after_a_failure_does_not_run_again() -> None:
    (one,) = plan(50, 50)

    assert [] == remaining([one], [ended(one, "the guest panicked"), ended(one)])


def test_every_round_is_found_by_its_name() -> None:
    for one in plan(10_000, 50):
        assert one == named(one.name, 50)


@pytest.mark.parametrize(
    "name", ["", "trixie", "trixie/module/plain", "trixie/module/plain/x", "bookworm/module/plain/1", "a/b/c/d/1"]
)
def test_a_name_of_no_round_is_refused_with_the_form_of_a_name(name: str) -> None:
    with pytest.raises(UnknownRoundError, match=re.escape(f"no round {name!r}: name one as KERNEL/BACKEND/VARIANT")):
        named(name, 50)


def test_scores_have_no_round_with_rules() -> None:
    with pytest.raises(UnknownRoundError):
        named("trixie/scores/rules/1", 50)
