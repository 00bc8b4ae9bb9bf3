# SPDX-License-Identifier: Apache-2.0
"""Name a set of policies by a short hash, so that a node can say which set it applies."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from oompolicy.model import OOMPolicy


def policy_hash(policies: Iterable[OOMPolicy]) -> str:
    """16 hex digits over name, uid and generation of all policies, in whatever order they come.

    A hand-written policy has no generation (0), so its content stands in for one.
    """
    versions = sorted((policy.name, policy.generation, _identity(policy)) for policy in policies)
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16]


def _identity(policy: OOMPolicy) -> str:
    if policy.generation:
        # One that is deleted and made anew begins with generation 1 again.
        return policy.uid or ""
    return json.dumps(asdict(policy), default=sorted, sort_keys=True)
