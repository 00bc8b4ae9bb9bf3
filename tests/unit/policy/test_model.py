# SPDX-License-Identifier: Apache-2.0
"""A record refuses values out of range, and a set of policies has a hash."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oompolicy.model import ByPriorityClass, ByQOSClass, ContainerOffset, Defaults, FixedPriority, Override
from oompolicy.policyhash import policy_hash
from tests.unit.policy.factories import pod, policy


@pytest.mark.parametrize(
    "build",
    [
        lambda: FixedPriority(1001),
        lambda: ByQOSClass(burstable=-1),
        lambda: ByPriorityClass({"a": 1001}),
        lambda: ByPriorityClass(default=-1),
        lambda: ContainerOffset("a", 1001),
        lambda: Override(5, 4),
        lambda: Override(0, 1001),
        lambda: Defaults(best_effort=-5),
    ],
)
def test_no_record_holds_a_value_outside_its_range(build: Callable[[], object]) -> None:
    """The resolver relies on records and does not check the values again."""
    with pytest.raises(ValueError, match=r"outside|above"):
        build()


def test_records_can_be_hashed_but_not_changed() -> None:
    """They may be keys and members of sets."""
    assert 2 == len({pod(), pod(), policy()})
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy().name = "other"  # type: ignore[misc]


def test_the_hash_depends_on_name_uid_and_generation() -> None:
    """The order and the other fields of the object do not matter."""
    first, second = policy("a"), policy("b")

    assert policy_hash([first, second]) == policy_hash([second, dataclasses.replace(first, precedence=7)])
    assert policy_hash([first, second]) != policy_hash([first, dataclasses.replace(second, generation=2)])
    assert policy_hash([first]) != policy_hash([dataclasses.replace(first, uid="of another that was made later")])
    assert policy_hash([first]) != policy_hash([first, second])
    assert 16 == len(policy_hash([]))


def test_a_hand_written_policy_is_identified_by_its_content() -> None:
    """A hand-written policy has no generation that changes with its content."""
    first = dataclasses.replace(policy(override=(1, 2)), generation=0)

    assert policy_hash([first]) == policy_hash([dataclasses.replace(first)])
    assert policy_hash([first]) != policy_hash([dataclasses.replace(first, precedence=7)])


def test_importing_the_policy_model_imports_no_client() -> None:
    """The agent has no memory for kopf and kubernetes, so the model imports neither."""
    code = "import sys, oompolicy.cli; print([n for n in ('kopf', 'kubernetes', 'aiohttp') if n in sys.modules])"
    root = Path(__file__).parents[3]

    run = subprocess.run([sys.executable, "-c", code], cwd=root / "operator", capture_output=True, check=True)
    assert b"[]" == run.stdout.strip()


@pytest.mark.parametrize("source_root", ["operator", "agent"])
def test_source_roots_are_no_packages(source_root: str) -> None:
    """An operator/__init__.py would shadow the standard library's operator."""
    assert not (Path(__file__).parents[3] / source_root / "__init__.py").exists()
