# SPDX-License-Identifier: Apache-2.0
"""Of the kubernetes client only what we use is loaded, and others still find all of it."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """In an interpreter of its own: what is imported here does not count."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_a_connection_loads_neither_models_nor_other_logins() -> None:
    """They would cost 17 MB in each agent."""
    code = "import sys, oompolicy.kube.connection; print([n for n in ('pydantic', 'requests') if n in sys.modules])"

    assert "[]" == run(code)


def test_the_kubernetes_client_is_whole_for_those_who_come_later() -> None:
    """kopf, for instance, finds it when it is there."""
    code = """
import oompolicy.kube.connection
import kubernetes, kubernetes.config, kubernetes.client
from oompolicy.kube import client
assert kubernetes.config.load_kube_config and kubernetes.watch.Watch and kubernetes.client.CoreV1Api
assert kubernetes.config.incluster_config.load_incluster_config is kubernetes.config.load_incluster_config
assert kubernetes.client.Configuration is client.Configuration
assert kubernetes.config.ConfigException is client.ConfigException
print("whole")"""

    assert "whole" == run(code)


def test_the_kubernetes_client_stays_whole_for_those_who_came_first() -> None:
    """Nothing of it is taken away or loaded twice."""
    code = """
import kubernetes
import oompolicy.kube.connection
from oompolicy.kube import client
assert kubernetes.config.load_kube_config and kubernetes.client.Configuration is client.Configuration
print("whole")"""

    assert "whole" == run(code)
