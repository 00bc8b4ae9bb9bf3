# SPDX-License-Identifier: Apache-2.0
"""Objects of the agent's tests."""

from __future__ import annotations

from typing import Any


def policy(name: str, value: int, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a policy for pods with the label app=web, unless `spec` has another match."""
    match = {"podSelector": {"matchLabels": {"app": "web"}}}
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"priority": {"value": value}, "match": match, **spec},
    }
