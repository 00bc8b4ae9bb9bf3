# SPDX-License-Identifier: Apache-2.0
"""The table has the current version of each policy, and the sets of valid policies since the start."""

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


def test_a_new_generation_is_a_new_version() -> None:
    """A new status alone is recorded but is no new version."""
    made = PolicyTable()

    assert made.put(raw_policy("a"))
    assert not made.put(raw_policy("a", status={"matchedPods": 3}))
    assert {"matchedPods": 3} == made.records["a"].status
    assert made.put(raw_policy("a", generation=2))
    assert 2 == made.records["a"].generation


def with_default(raw: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Return the object as read under a newer definition, with a default that changes no generation."""
    return {**raw, "spec": {**raw["spec"], **fields}}


def test_an_unknown_field_is_recorded_and_the_policy_applied() -> None:
    """The policy is no new version, because nodes apply the same as before."""
    made = PolicyTable()
    made.put(raw_policy("a"))

    assert not made.put(with_default(raw_policy("a"), newField="x"))
    assert ("spec.newField",) == made.records["a"].unknown_fields
    assert made.records["a"].problem is None
    assert ["a"] == [policy.name for policy in made.valid]
    assert not made.put(raw_policy("a"))
    assert not made.records["a"].unknown_fields


def test_a_default_that_changes_a_policy_makes_a_new_version() -> None:
    """The default of a newer definition counts even though the generation is the same."""
    made = PolicyTable()
    made.put(raw_policy("a"))

    assert made.put(with_default(raw_policy("a"), precedence=7))
    assert 7 == made.valid[0].precedence
    assert made.put(with_default(raw_policy("a"), precedence=-7))
    assert [] == made.valid


def test_an_older_generation_is_ignored() -> None:
    """An older object can arrive after a newer one if a list and a watch run at the same time."""
    made = PolicyTable()
    made.put(raw_policy("a", generation=3, value=300))

    assert not made.put(raw_policy("a", generation=2, value=200, status={"matchedPods": 9}))
    assert 3 == made.records["a"].generation
    assert {} == made.records["a"].status


def test_a_policy_that_is_created_again_is_a_new_version() -> None:
    """Its uid is new, although its generation is 1 again."""
    made = PolicyTable()
    made.put(raw_policy("a", uid="one", generation=7))

    assert made.put(raw_policy("a", uid="two"))
    assert "two" == made.records["a"].uid
    assert 1 == made.records["a"].generation


def test_the_deletion_of_a_replaced_policy_changes_nothing() -> None:
    """A deletion counts only if its uid is that of the known policy."""
    made = PolicyTable()
    made.put(raw_policy("a", uid="two"))

    assert not made.drop("a", "one")
    assert made.drop("a", "two")
    assert not made.drop("a", "two")


def test_an_invalid_policy_is_known_but_not_applied() -> None:
    """The problem names all wrong fields."""
    made = PolicyTable()
    made.put(raw_policy("good"))
    made.put(raw_policy("bad", value=5000, precedence=-1))

    assert ["good"] == [policy.name for policy in made.valid]
    bad = made.records["bad"]
    assert bad.policy is None
    assert bad.problem is not None
    assert "spec.precedence: " in bad.problem
    assert "spec.priority.value: " in bad.problem
    assert policy_hash(made.valid) == made.current_hash


def test_a_node_applies_a_policy_if_its_set_has_the_current_version() -> None:
    """The other policies of the set have no influence."""
    made = table("a")
    with_a = made.current_hash
    made.put(raw_policy("b"))
    with_both = made.current_hash
    hashes = {with_a: 3, with_both: 4}

    assert 7 == made.applied("a", hashes)
    assert 4 == made.applied("b", hashes)
    made.put(raw_policy("a", generation=2))
    assert 0 == made.applied("a", hashes)
    assert 4 == made.applied("b", hashes)
    hashes[made.current_hash] = 5
    assert 5 == made.applied("a", hashes)
    assert 9 == made.applied("b", hashes)


def test_a_repeated_set_is_current_again() -> None:
    """A set is current again after a policy is added and deleted."""
    made = table("a")
    before = made.current_hash
    made.put(raw_policy("b"))
    made.drop("b", "uid-b")

    assert before == made.current_hash
    assert 2 == made.applied("a", {before: 2})


def test_an_unknown_set_is_not_counted() -> None:
    """Nodes without a report and invalid or unknown policies are not counted either."""
    made = table("a")
    made.put(raw_policy("bad", value=5000))

    assert 0 == made.applied("a", {"0123456789abcdef": 1, "": 2})
    assert 0 == made.applied("bad", {made.current_hash: 1})
    assert 0 == made.applied("never", {made.current_hash: 1})
