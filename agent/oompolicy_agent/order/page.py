# SPDX-License-Identifier: Apache-2.0
"""Serve the facts: on a Unix socket in the run directory, and in a pod on the pod's loopback.

Neither is reachable from another pod. The socket is for root on the node and for the agent's user. The loopback is for
port-forward, which the API server allows to users with a right to `pods/portforward` in the agent's namespace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from oompolicy.health import Answer, Limits, serve, serve_locally
from oompolicy.order.facts import PATH, PORT, SOCKET, plain
from oompolicy_agent.order.collect import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from oompolicy.health import Page
    from oompolicy_agent.order.collect import State

_LIMITS: Final = Limits(seconds=5.0, connections=4)
_LOOPBACK: Final = "127.0.0.1"


def page_of(state: Callable[[], State | None]) -> Page:
    """Make the page. An answer that cannot be made is a sentence with status 503."""

    def page() -> Answer:
        known = state()
        if known is None:
            return Answer(b"the agent has not read the cgroup tree yet: its conditions have the reason\n", 503)
        try:
            facts = collect(known)
        except OSError as error:
            return Answer(f"the memory of the containers cannot be read: {error}\n".encode(), 503)
        return Answer(json.dumps(plain(facts)).encode(), content_type="application/json")

    return page


def serve_order(state: Callable[[], State | None], run_dir: Path, stack: ExitStack, *, loopback: bool) -> None:
    """Serve the page until `stack` is closed. Raise OSError if an address cannot be used."""
    # Not rationed: an order from before the last kill would be wrong, and only trusted users can ask.
    pages = {PATH: page_of(state)}
    stack.callback(serve_locally(run_dir / SOCKET, pages, _LIMITS).close)
    if loopback:
        stack.callback(serve((_LOOPBACK, PORT), pages, _LIMITS).close)
