# SPDX-License-Identifier: Apache-2.0
"""kopf, for OOMPolicy objects alone: the only module that knows of it.

Its handler only hands on what it sees; the loop decides and acts. kopf writes nothing: no annotations, no
finalizers, no Events. It must never watch pods: it takes about 2 ms of CPU for each event.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import kopf

from oompolicy.controller.traced import Traced
from oompolicy.kube.backoff import delay
from oompolicy.model import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.client import Configuration

    Seen = Callable[[str | None, Mapping[str, Any]], None]

_GROUP, _VERSION = API_VERSION.split("/")
_PLURAL: Final = "oompolicies"
_PATIENCE: Final = 75.0
"""Seconds without a watch after which kopf is started anew. Its own tries take 54 s. Where the API server sends
Retry-After with a 429, kopf waits for as long as that says, even for a day."""
_LASTING: Final = 300.0
"""Seconds: an end after a longer run is not one of several in a row."""

log = logging.getLogger(__name__)


class Handlers:
    """kopf in a thread of its own. It ends when its watch is refused, by a 404 or by 403 for a minute.

    From then on no change of a policy is seen until it is started again.
    """

    def __init__(
        self,
        credentials: Callable[[], Configuration],
        seen: Seen,
        ended: Callable[[], None],
        *,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`seen` gets each event's type, `None` while kopf lists, and object. All calls come from the thread.

        `ended` is called when it is time to start again, never after `stop`. `uniform` draws the pause before it.
        `clock` gives the seconds that `patience` is compared with.
        """
        self._credentials, self._seen, self._ended = credentials, seen, ended
        self._patience, self._clock, self._uniform = patience, clock, uniform
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._traced: Traced | None = None
        self._wake: Callable[[], object] = lambda: None
        self._failures = 0

    @property
    def failing(self) -> str:
        """A sentence while policies are not watched, or empty."""
        return self._traced.failing if self._traced else ""

    def start(self) -> None:
        """Begin to list and watch; the definition of OOMPolicy must be there. Not while it runs."""
        self._traced = Traced(f"/apis/{API_VERSION}/{_PLURAL}", self._clock)
        self._thread = threading.Thread(target=self._run, args=(self._traced,), name="kopf", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, and wait for that for `timeout` seconds at most."""
        self._stop.set()
        self._wake()
        if self._thread:
            self._thread.join(timeout)

    def _run(self, traced: Traced) -> None:
        begun = time.monotonic()
        try:
            asyncio.run(self._follow(traced))
            reason = f"kopf could not watch for {self._patience:.0f} s: {traced.failing}"
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame; kopf has logged the traceback
            reason = f"kopf failed: {error!r}"
        if self._stop.is_set():
            return
        traced.fail(reason)
        self._failures = 1 if time.monotonic() - begun > _LASTING else self._failures + 1
        pause = delay(self._failures, self._uniform)
        log.error("OOMPolicies are not watched: %s; again in %.1f s", reason, pause)
        if not self._stop.wait(pause):
            self._ended()

    async def _follow(self, traced: Traced) -> None:
        """Run kopf. Return after `stop`, or when there was no watch for too long. All exceptions are kopf's."""
        registry, loop = _registry(self._credentials, traced, self._seen), asyncio.get_running_loop()
        # It is stopped by cancellation and not by a flag. kopf waits for a threading.Event in a thread, and when kopf
        # fails it waits for that thread for ever. For any other flag it waits for five seconds.
        running = asyncio.create_task(
            kopf.operator(registry=registry, settings=_settings(), standalone=True, clusterwide=True)
        )
        self._wake = partial(_cancel, loop, running)
        if self._stop.is_set():  # before there was anything to cancel
            running.cancel()
        while not running.done():
            await asyncio.wait({running}, timeout=self._patience / 4)
            if traced.failing_for > self._patience:
                running.cancel()
        await traced.close()
        if not running.cancelled():
            running.result()


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: kopf has ended by itself
        loop.call_soon_threadsafe(task.cancel)


class _NoDiffBase(kopf.DiffBaseStorage):
    """No annotation with a copy of the object, and no deep copies of it for each event."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - kopf's arguments, of no interest
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:  # noqa: ANN401
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Nowhere."""


class _NoProgress(kopf.ProgressStorage):
    """No annotations of handlers' progress either: an event's handler has none."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:  # noqa: ANN401
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Nowhere."""

    def purge(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing was stored."""

    def touch(self, **_: Any) -> None:  # noqa: ANN401
        """Nobody waits for it."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # log lines do not become Events
    settings.scanning.disabled = True  # no watch of all definitions: ours is there, or we would not have started
    settings.peering.standalone = True  # the Lease says who is active
    settings.watching.server_timeout = 600
    settings.networking.connect_timeout = 10
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.process.ultimate_exiting_timeout = None  # it would kill the process, which ends by itself
    return settings


def _registry(credentials: Callable[[], Configuration], traced: Traced, seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    refused: kopf.ConnectionInfo | None = None

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession | None:  # noqa: ANN401
        """At the start, and whenever the API server refuses the token."""
        nonlocal refused
        info = _connection_info(await asyncio.to_thread(credentials))
        if info == refused:  # or kopf would try the same again and again; now it ends
            return None
        refused = info
        session = traced.session(info.as_ssl_context(), info.as_http_headers())
        return kopf.AiohttpSession(server=info.server, aiohttp_session=session)

    @kopf.on.event(_GROUP, _VERSION, _PLURAL, registry=registry)
    async def event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        seen(event["type"], event["object"])

    return registry


def _connection_info(configuration: Configuration) -> kopf.ConnectionInfo:
    scheme, _, token = (configuration.get_api_key_with_prefix("BearerToken") or "").strip().partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
