# SPDX-License-Identifier: Apache-2.0
"""kopf, for OOMPolicy objects alone: the only module that knows of it.

Its handler only hands on what it sees; the loop decides and acts. kopf writes nothing: no annotations, no
finalizers, no Events. It must never watch pods: it takes about 2 ms of CPU for each event.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import kopf

from oompolicy.model import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.client import Configuration

    Seen = Callable[[str | None, Mapping[str, Any]], None]

_GROUP, _VERSION = API_VERSION.split("/")
_PLURAL: Final = "oompolicies"

log = logging.getLogger(__name__)


class Handlers:
    """kopf in a thread of its own. When it ends of itself, nobody hears of policies any more: `ended` is called."""

    def __init__(self, credentials: Callable[[], Configuration], seen: Seen, ended: Callable[[str], None]) -> None:
        """`seen` gets each event's type, `None` while kopf lists, and object. All calls come from the thread."""
        self._registry = _registry(credentials, seen)
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to list and watch; the definition of OOMPolicy must be there."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, and wait for that for `timeout` seconds at most."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        reason = "kopf ended"
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry,
                    settings=_settings(),
                    standalone=True,
                    clusterwide=True,
                    stop_flag=self._stop,
                )
            )
        except Exception as error:  # the outermost frame of this thread
            log.exception("kopf failed")
            reason = f"kopf failed: {error!r}"
        if not self._stop.is_set():
            self._ended(reason)


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


def _registry(credentials: Callable[[], Configuration], seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401
        """At the start, and whenever the API server refuses the token."""
        return _connection_info(credentials())

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
