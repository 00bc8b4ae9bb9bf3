# SPDX-License-Identifier: Apache-2.0
"""Derives the state of kopf's watch from the answers to kopf's requests, because kopf does not report that state.

kopf brings aiohttp, and documents that an operator may give it a session of its own, such as one with tracing.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from oompolicy.kube.backoff import delay
from oompolicy.kube.following import LASTING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from yarl import URL


class Traced:
    """The state of one watch. `failing` is a problem until the API server accepts the watch, and after each failure.

    A list that succeeds does not count. A role may allow it without the watch, and discovery may lack the resource
    just after it was defined, so that kopf finds nothing to watch.
    """

    def __init__(
        self,
        path: str,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Start without a watch. `clock` gives seconds, and `uniform` draws the part of a delay that is waited."""
        self._path, self._clock, self._uniform = path, clock, uniform
        self._since = clock()
        self._begun = -LASTING
        self._brief = 0
        self._sessions: list[aiohttp.ClientSession] = []
        self.failing: str | None = f"{path}: not watched yet"

    @property
    def failing_for(self) -> float:
        """Seconds since the watch failed, or since the start if there was no watch yet. 0 while the watch works."""
        return self._clock() - self._since if self.failing else 0.0

    def session(self, context: ssl.SSLContext, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        """Make a session with traced requests. Call it in the event loop that will use the session."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._begins)
        config.on_request_end.append(self._answered)
        config.on_request_exception.append(self._broke)
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        self._sessions.append(aiohttp.ClientSession(connector=connector, headers=headers, trace_configs=[config]))
        return self._sessions[-1]

    async def close(self) -> None:
        """Close all sessions, because kopf closes none when it is cancelled."""
        for session in self._sessions:
            await session.close()

    def fail(self, reason: str) -> None:
        """Set `failing`, because the collection is not watched any more."""
        if not self.failing:
            self._since = self._clock()
        self.failing = f"{self._path}: {reason}"

    def pause(self) -> float:
        """Return the seconds to delay the watch that begins now. kopf itself starts the next watch without a delay."""
        now = self._clock()
        self._brief = self._brief + 1 if now - self._begun < LASTING else 0
        pause = delay(self._brief, self._uniform) if self._brief else 0.0
        self._begun = now + pause
        return pause

    async def _begins(self, _: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:  # noqa: ANN401 - unused
        if self._is_watch(params.url):
            await asyncio.sleep(self.pause())

    async def _answered(self, _: Any, __: Any, params: aiohttp.TraceRequestEndParams) -> None:  # noqa: ANN401
        if params.response.status >= 400:
            self.fail(f"{params.response.status} {params.response.reason}")
        elif self._is_watch(params.url):
            self.failing = None

    async def _broke(self, _: Any, __: Any, params: aiohttp.TraceRequestExceptionParams) -> None:  # noqa: ANN401
        if not isinstance(params.exception, asyncio.CancelledError):  # a cancellation is how `Handlers` ends kopf
            self.fail(f"no answer: {params.exception!r}")

    def _is_watch(self, url: URL) -> bool:
        """Return True for a watch of the collection. The server's address may have a path, which precedes `_path`."""
        return url.path.endswith(self._path) and "watch" in url.query
