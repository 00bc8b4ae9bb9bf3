# SPDX-License-Identifier: Apache-2.0
"""Raw objects as the API server sends them. A test sets only the fields that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy.controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SETTINGS = Settings(namespace="oompolicy-system", identity="me")


def raw_policy(
    name: str = "databases",
    *,
    uid: str = "",
    generation: int = 1,
    value: int = 900,
    precedence: int = 0,
    match: Mapping[str, Any] | None = None,
    priority: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a raw policy. It is invalid if `value` is above 1000. `priority` takes the place of `value`."""
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name, "uid": uid or f"uid-{name}", "generation": generation, "resourceVersion": "1"},
        "spec": {"precedence": precedence, "match": dict(match or {}), "priority": priority or {"value": value}},
        **({"status": dict(status)} if status else {}),
    }


def raw_settings(
    mode: str = "Audit",
    *,
    uid: str = "uid-settings",
    generation: int = 1,
    suspend: bool = False,
    node_modes: Sequence[tuple[Mapping[str, str], str]] = (),
    status: Mapping[str, Any] | None = None,
    name: str = "cluster",
) -> dict[str, Any]:
    """Return raw OOMSettings. `node_modes` are pairs of labels and mode."""
    entries = [{"nodeSelector": {"matchLabels": dict(labels)}, "mode": each} for labels, each in node_modes]
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMSettings",
        "metadata": {"name": name, "uid": uid, "generation": generation, "resourceVersion": "1"},
        "spec": {"mode": mode, "suspend": suspend, "nodeModes": entries, "discloseOtherNamespaces": False},
        **({"status": dict(status)} if status else {}),
    }
