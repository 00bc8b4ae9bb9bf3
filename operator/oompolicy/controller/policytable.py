# SPDX-License-Identifier: Apache-2.0
"""All OOMPolicies there are: what each says, or why it says nothing, and which sets of them there have been."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from oompolicy.parse import InvalidObject, parse_policy
from oompolicy.policyhash import policy_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.model import OOMPolicy
    from oompolicy.parse.problems import Problem

_SETS: Final = 10_000
"""Sets remembered: a node that applies an older one than that has not been heard of for weeks."""


@dataclass(frozen=True, slots=True)
class Known:
    """One OOMPolicy object. `policy` is `None` where it is invalid, and `problem` says why.

    `unknown` names the fields that are not known here, and is empty where there are none; `spec` is only compared.
    """

    name: str
    uid: str
    generation: int
    policy: OOMPolicy | None
    problem: str
    unknown: str
    spec: object
    status: Mapping[str, Any]


class PolicyTable:
    """By name. Nothing behind it sees a raw object, but for `Known.status`, which is only compared."""

    def __init__(self) -> None:
        """Empty, which is a set of policies as well."""
        self.known: dict[str, Known] = {}
        self._number = 0
        self._numbers: dict[str, int] = {}  # of each set by its hash, in the order of coming
        self._since: dict[str, int] = {}  # the number of the first set with this policy as it is now
        self._remember()

    @property
    def valid(self) -> list[OOMPolicy]:
        """Those that are applied."""
        return [known.policy for known in self.known.values() if known.policy]

    @property
    def current_hash(self) -> str:
        """What a node says that applies exactly the valid ones."""
        return next(reversed(self._numbers))

    def put(self, raw: Mapping[str, Any]) -> bool:
        """An object as the API server has it. Whether it is another policy than before, beyond its status."""
        metadata, status = raw["metadata"], raw.get("status") or {}
        name, uid, generation = metadata["name"], metadata["uid"], metadata["generation"]
        before = self.known.get(name)
        same = before if before and before.uid == uid else None
        if same and same.generation > generation:
            # An older one can come after a newer where two ways of reading cross.
            return False
        # A new definition may bring a default into a stored object, which changes no generation.
        if same and same.generation == generation and same.spec == raw.get("spec"):
            self.known[name] = replace(same, status=status)
            return False
        found = self.known[name] = _known(raw)
        if same and same.generation == generation and same.policy == found.policy:
            return False
        self._since[name] = self._number + 1
        self._remember()
        return True

    def drop(self, name: str, uid: str) -> bool:
        """An object is gone. Whether it was there."""
        before = self.known.get(name)
        if before is None or before.uid != uid:
            return False
        del self.known[name], self._since[name]
        self._remember()
        return True

    def applied(self, name: str, hashes: Mapping[str, int]) -> int:
        """How many nodes apply this policy as it is now. `hashes`: number of nodes by what they say they apply."""
        known = self.known.get(name)
        if known is None or known.policy is None:
            return 0
        since = self._since[name]
        return sum(nodes for text, nodes in hashes.items() if self._numbers.get(text, 0) >= since)

    def _remember(self) -> None:
        self._number += 1
        current = policy_hash(self.valid)
        # A set that comes back is the newest again, also in the order of forgetting.
        self._numbers.pop(current, None)
        self._numbers[current] = self._number
        if len(self._numbers) > _SETS:
            del self._numbers[next(iter(self._numbers))]


def _known(raw: Mapping[str, Any]) -> Known:
    metadata, policy, problem = raw["metadata"], None, ""
    unknown: list[Problem] = []
    try:
        policy = parse_policy(raw, unknown=unknown)
    except InvalidObject as error:
        problem = "; ".join(f"{each.field}: {each.message}" for each in error.problems)
    return Known(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        policy=policy,
        problem=problem,
        unknown=", ".join(each.field for each in unknown),
        spec=raw.get("spec"),
        status=raw.get("status") or {},
    )
