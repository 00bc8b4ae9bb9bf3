# SPDX-License-Identifier: Apache-2.0
"""Serves the operator's /livez, /readyz and /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from oompolicy import health

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    Probe = Callable[[], tuple[str, ...]]


def serve(address: tuple[str, int], registry: CollectorRegistry, probes: dict[str, Probe]) -> health.Server:
    """Start to serve, and return the server. A probe returns the reasons for its failure as sentences.

    Raise OSError if the address is in use.
    """

    def metrics() -> health.Answer:
        return health.Answer(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    pages = {path: health.probe(reasons) for path, reasons in probes.items()}
    return health.serve(address, {**pages, "/metrics": health.rationed(metrics)})
