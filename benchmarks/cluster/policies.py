# SPDX-License-Identifier: Apache-2.0
"""The policies of the benchmark: one for every pod, one for pods that are counted from outside, and others. Pure."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.cluster.objects import APPS, TIERS

EVERY_POD: Final = "every-pod"
MARKED: Final = "marked"
MARK: Final = "bench.example/marked"
"""The label of pods that `MARKED` matches."""


def all_policies() -> list[dict[str, Any]]:
    """Return all policies. The narrow ones have a higher precedence, so that no two of the same precedence overlap."""
    narrow = [
        policy(
            f"{app}-{tier}",
            100 + number,
            {
                "namespaceSelector": {"matchLabels": {"tier": tier}},
                "podSelector": {"matchLabels": {"app": app}},
            },
        )
        for number, (app, tier) in enumerate((app, tier) for app in APPS for tier in TIERS)
    ]
    classes = policy("besteffort", 50, {"qosClasses": ["BestEffort"]})
    marked = policy(MARKED, 10, {"podSelector": {"matchExpressions": [{"key": MARK, "operator": "Exists"}]}})
    return [*narrow, classes, marked, every_pod(500)]


def every_pod(value: int) -> dict[str, Any]:
    """Return the policy that matches all pods. With another value, all agents resolve their pods again."""
    return policy(EVERY_POD, 0, {}, value)


def policy(name: str, precedence: int, match: dict[str, Any], value: int = 500) -> dict[str, Any]:
    """Return one policy."""
    spec = {"precedence": precedence, "match": match, "priority": {"value": value}}
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}
