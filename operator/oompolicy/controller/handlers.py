# SPDX-License-Identifier: Apache-2.0
"""Runs kopf, which watches OOMPolicies or OOMSettings. `traced` follows its requests.

kopf is used because it is the common Python framework for operators, and a cluster has few of these objects. It must
never watch pods, because it takes about 2 ms of CPU for each event. `oompolicy.kube.informer` watches the other
collections.

The handler only passes each event on. The loop decides and writes. kopf itself writes nothing: no annotations, no
finalizers, no Events.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import kopf

from oompolicy.api import API_VERSION, GROUP, OOMPOLICIES, OOMSETTINGS, VERSION
from oompolicy.controller.traced import Traced
from oompolicy.kube.backoff import delay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.client import Configuration

    OnEvent = Callable[[str | None, Mapping[str, Any]], None]

_PATIENCE: Final = 75.0
"""Seconds without a watch after which kopf is restarted. Its own retries take 54 s. If the API server sends Retry-After
with a 429, kopf waits for that time, even for a day."""
_LASTING: Final = 300.0
"""Seconds. An end after a longer run is not one of several in a row."""

log = logging.getLogger(__name__)


class Collection(NamedTuple):
    """A collection that kopf watches: its name in a path, and in a sentence."""

    plural: str
    title: str


OF_POLICIES: Final = Collection(OOMPOLICIES, "OOMPolicies")
OF_SETTINGS: Final = Collection(OOMSETTINGS, "OOMSettings")


class Handlers:
    """A thread that runs kopf. It ends if kopf fails, as after a 404, or if there is no watch for `patience` seconds.

    Between its end and the next `start`, no change of an object is received.
    """

    def __init__(
        self,
        credentials: Callable[[], Configuration],
        on_event: OnEvent,
        on_end: Callable[[], None],
        *,
        collection: Collection = OF_POLICIES,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Take the callbacks. Both are called from the thread.

        `on_event` receives the type of each event and the object. The type is `None` while kopf lists. `on_end` is
        called when it is time to start again, and never after `stop`. `uniform` draws the pause before that call.
        `clock` gives the seconds that `patience` is compared with.
        """
        self._credentials, self._on_event, self._on_end = credentials, on_event, on_end
        self._collection, self._patience, self._clock, self._uniform = collection, patience, clock, uniform
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._traced: Traced | None = None
        self._wake: Callable[[], object] = lambda: None
        self._failures = 0

    @property
    def failing(self) -> str | None:
        """The problem while the collection is not watched. `None` before the first start."""
        return self._traced.failing if self._traced else None

    def start(self) -> None:
        """Start to list and watch. The definition of the objects must exist, and the thread must not be running."""
        self._traced = Traced(f"/apis/{API_VERSION}/{self._collection.plural}", self._clock)
        self._thread = threading.Thread(
            target=self._run, args=(self._traced,), name=f"kopf-{self._collection.plural}", daemon=True
        )
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread, and wait for its end for at most `timeout` seconds."""
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
        log.error("%s are not watched: %s. Retrying in %.1f s", self._collection.title, reason, pause)
        if not self._stop.wait(pause):
            self._on_end()

    async def _follow(self, traced: Traced) -> None:
        """Run kopf until `stop`, or until there was no watch for too long. Exceptions of kopf are raised."""
        registry = _registry(self._credentials, traced, self._collection, self._on_event)
        loop = asyncio.get_running_loop()
        # kopf is stopped by cancellation and not by a flag. kopf waits for a threading.Event in a thread, and if kopf
        # fails, it waits for that thread forever. For any other flag it waits for five seconds.
        running = asyncio.create_task(
            kopf.operator(registry=registry, settings=_settings(), standalone=True, clusterwide=True)
        )
        self._wake = partial(_cancel, loop, running)
        if self._stop.is_set():  # `stop` was called before the task existed
            running.cancel()
        while not running.done():
            await asyncio.wait({running}, timeout=self._patience / 4)
            if traced.failing_for > self._patience:
                running.cancel()
        await traced.close()
        if not running.cancelled():
            running.result()


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed because kopf has ended by itself
        loop.call_soon_threadsafe(task.cancel)


class _NoDiffBase(kopf.DiffBaseStorage):
    """A storage that stores nothing: no annotation with a copy of the object, and no deep copy for each event."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - kopf's arguments, which are not used
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:  # noqa: ANN401
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Store nothing."""


class _NoProgress(kopf.ProgressStorage):
    """A storage without annotations of handlers' progress, because a handler of events has no progress."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:  # noqa: ANN401
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Store nothing."""

    def purge(self, **_: Any) -> None:  # noqa: ANN401
        """Remove nothing, because nothing was stored."""

    def touch(self, **_: Any) -> None:  # noqa: ANN401
        """Touch nothing, because no handler waits for a touch."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # log lines do not become Events
    settings.scanning.disabled = True  # no watch of all definitions, because ours exists before kopf starts
    settings.peering.standalone = True  # the Lease decides which replica is active
    settings.watching.server_timeout = 600
    settings.networking.connect_timeout = 10
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.process.ultimate_exiting_timeout = None  # kopf would kill the process, which ends by itself
    return settings


def _registry(
    credentials: Callable[[], Configuration], traced: Traced, collection: Collection, on_event: OnEvent
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    refused: kopf.ConnectionInfo | None = None

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession | None:  # noqa: ANN401
        """Log in at the start, and each time the API server refuses the token."""
        nonlocal refused
        info = _connection_info(await asyncio.to_thread(credentials))
        if info == refused:  # kopf would retry the same token without a pause, but without a login it ends
            return None
        refused = info
        session = traced.session(info.as_ssl_context(), info.as_http_headers())
        return kopf.AiohttpSession(server=info.server, aiohttp_session=session)

    @kopf.on.event(GROUP, VERSION, collection.plural, registry=registry)
    async def event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        on_event(event["type"], event["object"])

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
