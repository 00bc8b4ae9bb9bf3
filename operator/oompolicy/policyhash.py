# SPDX-License-Identifier: Apache-2.0
"""Compute a short hash of a set of policies, by which a node reports the set that it applies."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from oompolicy.model import OOMPolicy


def policy_hash(policies: Iterable[OOMPolicy]) -> str:
    """Return 16 hex digits over name, uid and generation of all policies. Their order does not matter.

    The content of a hand-written policy takes the place of its generation, which is 0.
    """
    versions = sorted((policy.name, policy.generation, _identity(policy)) for policy in policies)
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16]


def _identity(policy: OOMPolicy) -> str:
    if policy.generation:
        # A policy that is deleted and created again begins with generation 1.
        return policy.uid or ""
    return json.dumps(asdict(policy), default=sorted, sort_keys=True)
