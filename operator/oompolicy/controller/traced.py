# SPDX-License-Identifier: Apache-2.0
"""Knows how kopf's watch of OOMPolicies is, from the answers to its requests: kopf itself does not tell.

kopf brings aiohttp, and documents sessions of one's own, such as one with tracing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping


class Traced:
    """`failing` is a sentence until the API server takes a watch of `path`, and from the next failure on, else empty.

    A list that is answered changes nothing: a role may allow it and no watch, or discovery may not have the resource
    yet, so that kopf has nothing to watch.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was asked yet."""
        self._path, self._clock = path, clock
        self._since = clock()
        self._sessions: list[aiohttp.ClientSession] = []
        self.failing = f"{path}: not watched yet"

    @property
    def failing_for(self) -> float:
        """Seconds since it was watched, or since it began; 0 while it is watched."""
        return self._clock() - self._since if self.failing else 0.0

    def session(self, context: ssl.SSLContext, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        """A session whose requests are traced; from within the event loop that is to use it."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._answered)
        config.on_request_exception.append(self._broke)
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        self._sessions.append(aiohttp.ClientSession(connector=connector, headers=headers, trace_configs=[config]))
        return self._sessions[-1]

    async def close(self) -> None:
        """Close all sessions: kopf closes none of its own where it is cancelled."""
        for session in self._sessions:
            await session.close()

    def fail(self, reason: str) -> None:
        """It is not watched any more."""
        if not self.failing:
            self._since = self._clock()
        self.failing = f"{self._path}: {reason}"

    async def _answered(self, _: Any, __: Any, params: aiohttp.TraceRequestEndParams) -> None:  # noqa: ANN401 - unused
        if params.response.status >= 400:
            self.fail(f"{params.response.status} {params.response.reason}")
        elif params.url.path == self._path and "watch" in params.url.query:
            self.failing = ""

    async def _broke(self, _: Any, __: Any, params: aiohttp.TraceRequestExceptionParams) -> None:  # noqa: ANN401
        if not isinstance(params.exception, asyncio.CancelledError):  # which only says that it is to end
            self.fail(f"no answer: {params.exception!r}")
