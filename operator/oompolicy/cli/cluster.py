# SPDX-License-Identifier: Apache-2.0
"""Read, and change, the objects of the cluster that the kubeconfig names."""

from __future__ import annotations

import functools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from oompolicy.api import API_VERSION, NAMESPACES, PODS, POLICIES, SETTINGS
from oompolicy.cli.reading import reading
from oompolicy.kube.connection import connect, namespace_of
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.manifests import Manifests, manifests_from_checkpoint
from oompolicy.oomsettings import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from oompolicy.kube.connection import Connection

T = TypeVar("T")

EVENTS: Final = "/apis/events.k8s.io/v1/{}events"
VICTIM_EVENTS: Final = "reason=OOMVictimKilled,reportingController=oompolicy.dev/agent"
"""The field selector of the Events that the agents write."""
_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
_SILENCE: Final = 30.0
"""Seconds without an answer."""
_TRIES: Final = 10
"""The number of requests to a server that asks to come back later. It is the same in kubectl."""
_LONGEST_WAIT: Final = 5.0
"""Seconds until the next try, even if the server asks for more."""
_FORBIDDEN: Final = 403
_MISSING: Final = 404


class Cluster:
    """The API server of a context, and the namespace of the context.

    Each method raises ClickException with a sentence if the server refuses or does not answer.
    """

    def __init__(self, connection: Connection, namespace: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.connection = connection
        self.namespace = namespace
        self._sleep = sleep

    def objects(self, path: str, *, metadata_only: bool = False, **query: str) -> list[dict[str, Any]]:
        """Return all objects of a collection."""
        with reading() as say:
            found: list[dict[str, Any]] = []
            headers = _METADATA if metadata_only else {}
            try:
                for item in self._asked(
                    lambda: self.connection.page(path, query=query, headers=headers, timeout=_SILENCE)
                )["items"]:
                    found.append(item)
                    if len(found) % 500 == 0:
                        say(f"{path}: {len(found)} objects")
            except (ApiError, UnreachableError) as error:
                raise _failed(path, error) from error
        return found

    def allowed_objects(
        self, path: str, *, without: str, metadata_only: bool = False, **query: str
    ) -> list[dict[str, Any]]:
        """Return all objects of a collection. If the user may not read them, return none and print `without`."""
        try:
            return self.objects(path, metadata_only=metadata_only, **query)
        except _ForbiddenError as error:
            sys.stderr.write(f"{error.message}. {without}\n")
            return []

    def get(self, path: str) -> dict[str, Any] | None:
        """Return one object, or None if it does not exist."""
        try:
            return self._asked(lambda: self.connection.request("GET", path, timeout=_SILENCE))
        except ApiError as error:
            if error.status == _MISSING:
                return None
            raise _failed(path, error) from error
        except UnreachableError as error:
            raise _failed(path, error) from error

    def settings(self) -> list[dict[str, Any]]:
        """Return OOMSettings, or nothing if it does not exist or the user may not read it, with a message."""
        try:
            found = self.get(f"{SETTINGS}/{NAME}")
        except _ForbiddenError as error:
            sys.stderr.write(f"{error.message}. Pods without a policy are shown with the built-in defaults\n")
            return []
        return [found] if found else []

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change some fields of one object, by a merge patch."""
        try:
            self._asked(
                lambda: self.connection.request(
                    "PATCH", path, body=body, content_type="application/merge-patch+json", timeout=_SILENCE
                )
            )
        except (ApiError, UnreachableError) as error:
            message = error.message if isinstance(error, ApiError) else error
            raise click.ClickException(f"{path} cannot be changed: {message}") from error

    def _asked(self, ask: Callable[[], T]) -> T:
        """Ask again while the server answers that it is busy and says when to come back."""
        for _ in range(_TRIES - 1):
            try:
                return ask()
            except ApiError as error:
                if error.retry_after is None:
                    raise
                self._sleep(min(error.retry_after, _LONGEST_WAIT))
        return ask()

    def manifests(self, namespace: str | None) -> Manifests:
        """Return policies and settings, and the namespaces and pods of the cluster or of one namespace."""
        if namespace is None:
            spaces, pods = self.objects(NAMESPACES), self.objects(PODS)
        else:
            own = f"{NAMESPACES}/{namespace}"
            space = self.get(own)
            spaces, pods = [space] if space else [], self.objects(f"{own}/pods")
        policies = self.objects(POLICIES)
        return manifests_from_checkpoint(
            (None, each)
            for kind, version, raw in (
                ("OOMPolicy", API_VERSION, policies),
                ("OOMSettings", API_VERSION, self.settings()),
                ("Namespace", "v1", spaces),
                ("Pod", "v1", pods),
            )
            for each in _typed(raw, kind, version)
        )


class _ForbiddenError(click.ClickException):
    """The user may not read a collection."""


def cluster_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add `--kubeconfig` and `--context` to a command, which gets the `Cluster` as `cluster`."""

    @click.option(
        "--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="Default: $KUBECONFIG or ~/.kube/config."
    )
    @click.option("--context", metavar="NAME", help="A context of the kubeconfig. Default: the current context.")
    @functools.wraps(function)
    def command(*, kubeconfig: Path | None, context: str | None, **options: object) -> int:
        return function(cluster=connected(kubeconfig, context), **options)

    return command


def connected(kubeconfig: Path | None, context: str | None) -> Cluster:
    """Connect to the API server."""
    path = kubeconfig or kubeconfig_of(os.environ, Path.home())
    if path is None and "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise click.ClickException("no kubeconfig: set KUBECONFIG or --kubeconfig, or create ~/.kube/config")
    try:
        return Cluster(connect(path, context), namespace_of(path, context) if path else "default")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def kubeconfig_of(environment: Mapping[str, str], home: Path) -> Path | None:
    """Return the kubeconfig that kubectl would use, or None. As with kubectl, files of the list may be missing."""
    listed = environment.get("KUBECONFIG", "")
    if listed:
        files = [each for each in listed.split(os.pathsep) if Path(each).is_file()]
        return Path(os.pathsep.join(files) or listed)
    default = home / ".kube/config"
    return default if default.is_file() else None


def _failed(path: str, error: ApiError | UnreachableError) -> click.ClickException:
    kind = _ForbiddenError if isinstance(error, ApiError) and error.status == _FORBIDDEN else click.ClickException
    return kind(f"{path} cannot be read: {error.message if isinstance(error, ApiError) else error}")


def _typed(objects: list[dict[str, Any]], kind: str, version: str) -> Iterator[dict[str, Any]]:
    """Yield the items of a list with the fields that the API server leaves out there."""
    for each in objects:
        yield {"apiVersion": version, "kind": kind, **each}
