# SPDX-License-Identifier: Apache-2.0
"""All OOMPolicies: the contents or the problem of each, and the sets of valid policies since the start."""

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
"""The number of sets that are remembered. A node that applies an older set has been out of contact for weeks."""


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """One OOMPolicy object. An invalid object has a `problem` and no `policy`.

    `unknown_fields` are the fields that this version does not know. `spec` is only compared.
    """

    name: str
    uid: str
    generation: int
    policy: OOMPolicy | None
    problem: str | None
    unknown_fields: tuple[str, ...]
    spec: object
    status: Mapping[str, Any]


class PolicyTable:
    """The policies by name. Only this class reads raw objects. `PolicyRecord.status` is raw, and is only compared."""

    def __init__(self) -> None:
        self.records: dict[str, PolicyRecord] = {}
        self._number = 0
        self._numbers: dict[str, int] = {}  # the number of each set by its hash, oldest set first
        self._since: dict[str, int] = {}  # the number of the first set with the current version of a policy
        self._remember()  # the empty set is a set too

    @property
    def valid(self) -> list[OOMPolicy]:
        """The valid policies, which are those that nodes apply."""
        return [record.policy for record in self.records.values() if record.policy]

    @property
    def current_hash(self) -> str:
        """The hash that a node reports if it applies exactly the valid policies."""
        return next(reversed(self._numbers))

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Record an object of the API server. Return True if more than the status is new for nodes."""
        metadata, status = raw["metadata"], raw.get("status") or {}
        name, uid, generation = metadata["name"], metadata["uid"], metadata["generation"]
        before = self.records.get(name)
        same = before if before and before.uid == uid else None
        if same and same.generation > generation:
            # An older object can arrive after a newer one, because lists and watches run at the same time.
            return False
        # A new definition may bring a default into a stored object, which changes no generation.
        if same and same.generation == generation and same.spec == raw.get("spec"):
            self.records[name] = replace(same, status=status)
            return False
        record = self.records[name] = _record(raw)
        if same and same.generation == generation and same.policy == record.policy:
            return False
        self._since[name] = self._number + 1
        self._remember()
        return True

    def drop(self, name: str, uid: str) -> bool:
        """Remove a deleted object. Return True if it was known."""
        before = self.records.get(name)
        if before is None or before.uid != uid:
            return False
        del self.records[name], self._since[name]
        self._remember()
        return True

    def applied(self, name: str, hashes: Mapping[str, int]) -> int:
        """Return the number of nodes that apply the current version of a policy.

        `hashes` has the number of nodes by the hash that they report.
        """
        record = self.records.get(name)
        if record is None or record.policy is None:
            return 0
        since = self._since[name]
        return sum(nodes for text, nodes in hashes.items() if self._numbers.get(text, 0) >= since)

    def _remember(self) -> None:
        self._number += 1
        current = policy_hash(self.valid)
        # A set that is current again becomes the newest one, so it is forgotten last.
        self._numbers.pop(current, None)
        self._numbers[current] = self._number
        if len(self._numbers) > _SETS:
            del self._numbers[next(iter(self._numbers))]


def _record(raw: Mapping[str, Any]) -> PolicyRecord:
    metadata, policy, problem = raw["metadata"], None, None
    unknown: list[Problem] = []
    try:
        policy = parse_policy(raw, unknown=unknown)
    except InvalidObject as error:
        problem = "; ".join(f"{each.field}: {each.message}" for each in error.problems)
    return PolicyRecord(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        policy=policy,
        problem=problem,
        unknown_fields=tuple(each.field for each in unknown),
        spec=raw.get("spec"),
        status=raw.get("status") or {},
    )
