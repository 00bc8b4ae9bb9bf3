# SPDX-License-Identifier: Apache-2.0
"""Probes answer with their reasons, and /metrics has the metrics."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import urllib3

from oompolicy.controller.metrics import Metrics
from oompolicy.controller.serve import serve

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def serving(*reasons: str, host: str = "127.0.0.1") -> Iterator[str]:
    metrics = Metrics()
    metrics.leader.set(1)
    server = serve((host, 0), metrics.registry, {"/readyz": lambda: reasons})
    yield f"http://{f'[{host}]' if ':' in host else host}:{server.address[1]}"
    server.close()


def get(url: str) -> tuple[int, str]:
    response = urllib3.request("GET", url, retries=False)
    return response.status, response.data.decode()


def test_a_probe_without_reasons_is_ok() -> None:
    """The server answers on IPv4 and IPv6 addresses."""
    for host in ("127.0.0.1", "::1"):
        with serving(host=host) as url:
            assert (200, "ok\n") == get(f"{url}/readyz")


def test_a_probe_with_reasons_is_503() -> None:
    """The body has one reason per line."""
    with serving("pods: not listed yet", "the API server is unreachable") as url:
        assert (503, "pods: not listed yet\nthe API server is unreachable\n") == get(f"{url}/readyz")


def test_other_paths_are_not_found() -> None:
    """The path of a probe that is not served is not found either."""
    with serving() as url:
        assert (404, "not found\n") == get(f"{url}/livez")


def test_metrics_are_served() -> None:
    """The metrics are in Prometheus' text format."""
    with serving() as url:
        status, text = get(f"{url}/metrics")

    assert 200 == status
    assert "oompolicy_operator_leader 1.0" in text.splitlines()
