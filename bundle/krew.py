# SPDX-License-Identifier: Apache-2.0
"""The manifest with which krew installs the plugin. Pure. See https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest."""

from __future__ import annotations

from typing import Any, Final

PROGRAM: Final = "kubectl-oom"
LICENSE: Final = "LICENSE"
_DESCRIPTION: Final = (
    "Ask a cluster with oompolicy which nodes enforce, which processes the OOM killer killed, and why a pod has its"
    " priority. Check OOMPolicy manifests, and print the priority of each pod or workload in files."
)
_CAVEATS: Final = "The plugin needs python3, version 3.11 or later."


def manifest(version: str, homepage: str, uri: str, sha256: str) -> dict[str, Any]:
    """Return the manifest of the archive at `uri`. One archive serves all systems, because it has no compiled code."""
    systems = {"key": "os", "operator": "In", "values": ["linux", "darwin"]}
    platform = {
        "selector": {"matchExpressions": [systems]},
        "uri": uri,
        "sha256": sha256,
        "bin": PROGRAM,
        "files": [{"from": name, "to": "."} for name in (PROGRAM, LICENSE)],
    }
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "oom"},
        "spec": {
            "version": f"v{version}",
            "homepage": homepage,
            "shortDescription": "Show which pods the OOM killer kills, and why",
            "description": _DESCRIPTION,
            "caveats": _CAVEATS,
            "platforms": [platform],
        },
    }
