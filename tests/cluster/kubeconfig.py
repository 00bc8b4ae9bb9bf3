# SPDX-License-Identifier: Apache-2.0
"""Write kubeconfigs that need no other file, so that they can be copied into a guest."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.pki import Pair


def write_kubeconfig(path: Path, server: str, ca: Path, user: dict[str, Any]) -> Path:
    """Write a kubeconfig with one cluster, one user and one context, as JSON, which is also YAML."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": encoded(ca)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))
    return path


def by_certificate(pair: Pair) -> dict[str, Any]:
    """Return the user that the certificate names."""
    return {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}


def by_token(token: str) -> dict[str, Any]:
    """Return the user that the token was issued for."""
    return {"token": token}


def encoded(path: Path) -> str:
    """Return a file's content in base64, as kubeconfigs embed it."""
    return base64.b64encode(path.read_bytes()).decode()
