# SPDX-License-Identifier: Apache-2.0
"""Knows the state of kopf's watch of OOMPolicies from the answers to kopf's requests, because kopf does not report it.

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
    """`failing` is a sentence until the API server accepts a watch of `path`, and again from the next failure on.

    A list that succeeds does not count. A role may allow it without the watch, and discovery may lack the resource
    just after it was defined, so that kopf finds nothing to watch.
    """

    def __init__(
        self,
        path: str,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`clock` gives seconds. `uniform` draws the part of a delay that is waited."""
        self._path, self._clock, self._uniform = path, clock, uniform
        self._since = clock()
        self._begun = -LASTING
        self._brief = 0
        self._sessions: list[aiohttp.ClientSession] = []
        self.failing = f"{path}: not watched yet"

    @property
    def failing_for(self) -> float:
        """Seconds since the watch failed, or since the start if there was no watch yet; 0 while it does not fail."""
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
        """Close all sessions: kopf closes none where it is cancelled."""
        for session in self._sessions:
            await session.close()

    def fail(self, reason: str) -> None:
        """Set `failing`: the collection is not watched any more."""
        if not self.failing:
            self._since = self._clock()
        self.failing = f"{self._path}: {reason}"

    def pause(self) -> float:
        """Seconds to hold back the watch that begins now: kopf follows a watch that was cut with the next at once."""
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
            self.failing = ""

    async def _broke(self, _: Any, __: Any, params: aiohttp.TraceRequestExceptionParams) -> None:  # noqa: ANN401
        if not isinstance(params.exception, asyncio.CancelledError):  # which is our own way to end kopf
            self.fail(f"no answer: {params.exception!r}")

    def _is_watch(self, url: URL) -> bool:
        """A server's own address may have a path too, which comes first."""
        return url.path.endswith(self._path) and "watch" in url.query
