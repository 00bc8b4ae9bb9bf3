# SPDX-License-Identifier: Apache-2.0
"""The command `oompolicy-release`. Exit status: 0 done, 1 not done in time, 2 wrong usage."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from oompolicy.api import OOMNODES
from oompolicy.kube.connection import connect
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.release import enforcement, rollout, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from oompolicy.kube.connection import Connection
    from oompolicy.release.settings import Settings

_SHOWN: Final = 20
"""Lines: one cause seldom has more faces, and 5,000 nodes would bury it."""

Lines = tuple[str, ...]
"""What is missing; nothing where it is done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb."""
    chosen = settings.parse(arguments)
    try:
        release = Release(connect(chosen.kubeconfig), chosen)
    except (OSError, ValueError) as error:
        print(f"oompolicy-release: {error}", file=sys.stderr)
        return 1
    verbs = {"stop": release.stopping, "await": release.waiting, "check": release.checking}
    left = until_nothing_left(verbs[chosen.verb], chosen)
    if left:
        print(f"oompolicy-release: not done within {chosen.deadline:.0f} s", file=sys.stderr)
        print(*shown((*left, *release.reasons())), sep="\n", file=sys.stderr)
    return 1 if left else 0


def until_nothing_left(look: Callable[[], Lines], chosen: Settings) -> Lines:
    """What is left at the deadline; nothing as soon as nothing is."""
    end = time.monotonic() + chosen.deadline
    while left := _answered(look):
        if time.monotonic() >= end:
            return left
        time.sleep(chosen.every)
    return ()


def _answered(look: Callable[[], Lines]) -> Lines:
    """A refusal too may be over at the next look: API servers take a moment to know new rights."""
    try:
        return look()
    except (ApiError, UnreachableError) as error:
        return (str(error),)


def shown(lines: Lines) -> Lines:
    """The first of them, and how many there are beside."""
    more = len(lines) - _SHOWN
    return (*lines[:_SHOWN], f"and {more} more") if more > 0 else lines


class Release:
    """One DaemonSet and its pods at the API server."""

    def __init__(self, connection: Connection, chosen: Settings) -> None:
        self._connection = connection
        self._chosen = chosen
        self._path = f"/apis/apps/v1/namespaces/{chosen.namespace}/daemonsets/{chosen.daemonset}"

    def stopping(self) -> Lines:
        """Delete it unless that was done already, and say that it is still there. ApiError, UnreachableError."""
        try:
            found = self._connection.request("GET", self._path)
            if "deletionTimestamp" not in found["metadata"]:
                # Foreground: it is gone only after the last of its pods.
                self._connection.request("DELETE", self._path, query={"propagationPolicy": "Foreground"})
        except ApiError as error:
            if error.status == 404:
                return ()
            raise
        return (f"DaemonSet {self._chosen.daemonset} still has pods",)

    def waiting(self) -> Lines:
        """How far it is. ApiError, UnreachableError."""
        left = rollout.progress(self._connection.request("GET", self._path))
        return (left,) if left else ()

    def checking(self) -> Lines:
        """As `waiting`, and then what its nodes say. ApiError, UnreachableError."""
        if left := self.waiting():
            return left
        oomnodes = self._connection.request("GET", OOMNODES)["items"]
        enough = self._chosen.observing_is_enough
        nodes = {rollout.node_of(pod) for pod in self._pods()}
        left = tuple(enforcement.shortcomings(nodes, oomnodes, observing_is_enough=enough))
        if not left:
            print(f"{len(nodes)} nodes {'report victims' if enough else 'enforce'}")
        return left

    def reasons(self) -> Lines:
        """A sentence for each pod that is not ready, or one that says why there is none."""
        return _answered(lambda: tuple(rollout.unready(self._pods())))

    def _pods(self) -> tuple[Mapping[str, Any], ...]:
        path = f"/api/v1/namespaces/{self._chosen.namespace}/pods"
        return rollout.pods_of(self._chosen.daemonset, self._connection.request("GET", path)["items"])
