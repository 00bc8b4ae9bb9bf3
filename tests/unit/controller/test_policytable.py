# SPDX-License-Identifier: Apache-2.0
"""The table of policies knows what each says, and which sets of them there have been."""

from __future__ import annotations

from typing import Any

from oompolicy.controller.policytable import PolicyTable
from oompolicy.policyhash import policy_hash
from tests.unit.controller.raws import raw_policy


def table(*names: str) -> PolicyTable:
    made = PolicyTable()
    for name in names:
        made.put(raw_policy(name))
    return made


def test_a_policy_is_another_when_its_generation_is() -> None:
    """A new status alone is none, but is remembered."""
    made = PolicyTable()

    assert made.put(raw_policy("a"))
    assert not made.put(raw_policy("a", status={"matchedPods": 3}))
    assert {"matchedPods": 3} == made.known["a"].status
    assert made.put(raw_policy("a", generation=2))
    assert 2 == made.known["a"].generation


def with_default(raw: dict[str, Any], **fields: object) -> dict[str, Any]:
    """As it is read once a newer definition is applied: a default in a stored object changes no generation."""
    return {**raw, "spec": {**raw["spec"], **fields}}


def test_a_field_of_a_newer_definition_is_noted_and_the_policy_applied() -> None:
    """It is no other policy: nodes apply the same as before."""
    made = PolicyTable()
    made.put(raw_policy("a"))

    assert not made.put(with_default(raw_policy("a"), newField="x"))
    assert ("spec.newField", "") == (made.known["a"].unknown, made.known["a"].problem)
    assert ["a"] == [policy.name for policy in made.valid]
    assert not made.put(raw_policy("a"))
    assert "" == made.known["a"].unknown


def test_a_default_that_changes_what_a_policy_says_is_another_policy() -> None:
    """Although the generation is the same."""
    made = PolicyTable()
    made.put(raw_policy("a"))

    assert made.put(with_default(raw_policy("a"), precedence=7))
    assert 7 == made.valid[0].precedence
    assert made.put(with_default(raw_policy("a"), precedence=-7))
    assert [] == made.valid


def test_an_older_generation_comes_too_late() -> None:
    """As happens where a list and a watch cross."""
    made = PolicyTable()
    made.put(raw_policy("a", generation=3, value=300))

    assert not made.put(raw_policy("a", generation=2, value=200, status={"matchedPods": 9}))
    assert (3, {}) == (made.known["a"].generation, made.known["a"].status)


def test_a_policy_made_anew_is_another() -> None:
    """Although its generation is 1 again."""
    made = PolicyTable()
    made.put(raw_policy("a", uid="one", generation=7))

    assert made.put(raw_policy("a", uid="two"))
    assert ("two", 1) == (made.known["a"].uid, made.known["a"].generation)


def test_the_deletion_of_a_former_one_means_nothing() -> None:
    """When another of its name is there already."""
    made = PolicyTable()
    made.put(raw_policy("a", uid="two"))

    assert not made.drop("a", "one")
    assert made.drop("a", "two")
    assert not made.drop("a", "two")


def test_an_invalid_policy_is_known_but_not_applied() -> None:
    """With all that is wrong, each with its field."""
    made = PolicyTable()
    made.put(raw_policy("good"))
    made.put(raw_policy("bad", value=5000, precedence=-1))

    assert ["good"] == [policy.name for policy in made.valid]
    assert made.known["bad"].policy is None
    assert "spec.precedence: " in made.known["bad"].problem
    assert "spec.priority.value: " in made.known["bad"].problem
    assert policy_hash(made.valid) == made.current_hash


def test_a_node_applies_a_policy_when_its_set_has_it_as_it_is_now() -> None:
    """Whatever else is in that set."""
    made = table("a")
    with_a = made.current_hash
    made.put(raw_policy("b"))
    with_both = made.current_hash
    hashes = {with_a: 3, with_both: 4}

    assert (7, 4) == (made.applied("a", hashes), made.applied("b", hashes))
    made.put(raw_policy("a", generation=2))
    assert (0, 4) == (made.applied("a", hashes), made.applied("b", hashes))
    assert (5, 9) == tuple(made.applied(name, {**hashes, made.current_hash: 5}) for name in ("a", "b"))


def test_a_set_that_comes_back_is_current_again() -> None:
    """As when a policy is added and deleted."""
    made = table("a")
    before = made.current_hash
    made.put(raw_policy("b"))
    made.drop("b", "uid-b")

    assert before == made.current_hash
    assert 2 == made.applied("a", {before: 2})


def test_an_unknown_set_counts_for_nothing() -> None:
    """Nor do nodes that have not said anything, or a policy that is not valid."""
    made = table("a")
    made.put(raw_policy("bad", value=5000))

    assert 0 == made.applied("a", {"0123456789abcdef": 1, "": 2})
    assert 0 == made.applied("bad", {made.current_hash: 1})
    assert 0 == made.applied("never", {made.current_hash: 1})
