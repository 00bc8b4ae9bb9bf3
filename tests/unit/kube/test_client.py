# SPDX-License-Identifier: Apache-2.0
"""Only the used part of the kubernetes client is loaded, and other code still gets the whole client."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def run(code: str) -> str:
    """Run code in a separate interpreter, without the imports of this one."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_a_connection_loads_neither_models_nor_other_logins() -> None:
    """They would cost 17 MB in each agent."""
    code = "import sys, oompolicy.kube.connection; print([n for n in ('pydantic', 'requests') if n in sys.modules])"

    assert "[]" == run(code)


def test_the_kubernetes_client_is_complete_for_later_imports() -> None:
    """kopf, for example, uses the client if it is installed."""
    code = """
import oompolicy.kube.connection
import kubernetes, kubernetes.config, kubernetes.client
from oompolicy.kube import client
assert kubernetes.config.load_kube_config and kubernetes.watch.Watch and kubernetes.client.CoreV1Api
assert kubernetes.config.incluster_config.load_incluster_config is kubernetes.config.load_incluster_config
assert kubernetes.client.Configuration is client.Configuration
assert kubernetes.config.ConfigException is client.ConfigException
print("complete")"""

    assert "complete" == run(code)


def test_the_kubernetes_client_stays_complete_for_earlier_imports() -> None:
    """No module is removed or loaded twice."""
    code = """
import kubernetes
import oompolicy.kube.connection
from oompolicy.kube import client
assert kubernetes.config.load_kube_config and kubernetes.client.Configuration is client.Configuration
print("complete")"""

    assert "complete" == run(code)


def test_a_kubeconfig_loads_no_pydantic(tmp_path: Path) -> None:
    """Only the refresh of an OIDC token needs it, and gets the real class."""
    user = {"users": [{"name": "a", "user": {"token": "t"}}], "current-context": "a"}
    cluster = {"clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1"}}]}
    context = {"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a", "namespace": "shop"}}]}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **user, **cluster, **context}))
    code = f"""
import sys
from pathlib import Path
from oompolicy.kube.connection import connect, namespace_of
assert connect(Path({str(file)!r})).host == "https://127.0.0.1"
assert namespace_of(Path({str(file)!r})) == "shop"
assert "pydantic" not in sys.modules
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import kube_config
assert isinstance(ApiClient, type)
assert isinstance(kube_config.ApiClient(configuration=Configuration()), ApiClient)
print("complete")"""

    assert "complete" == run(code)
