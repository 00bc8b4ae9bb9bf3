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
"""The number of lines that are printed. One cause can have a line on each of 5,000 nodes, which would hide it."""

Lines = tuple[str, ...]
"""The sentences about unfinished work. The step is done when there are none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
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


def until_nothing_left(check: Callable[[], Lines], chosen: Settings) -> Lines:
    """Call `check` until it returns nothing, or until the deadline. Return its last answer."""
    end = time.monotonic() + chosen.deadline
    while left := _answered(check):
        if time.monotonic() >= end:
            return left
        time.sleep(chosen.every)
    return ()


def _answered(check: Callable[[], Lines]) -> Lines:
    """Return the answer, or the error as a sentence.

    Not even a refusal is final: an API server takes a moment until it knows new rights.
    """
    try:
        return check()
    except (ApiError, UnreachableError) as error:
        return (str(error),)


def shown(lines: Lines) -> Lines:
    """Return the first lines, and the number of the others in one more line."""
    more = len(lines) - _SHOWN
    return (*lines[:_SHOWN], f"and {more} more") if more > 0 else lines


class Release:
    """The named DaemonSets and their pods at the API server."""

    def __init__(self, connection: Connection, chosen: Settings) -> None:
        self._connection = connection
        self._chosen = chosen

    def stopping(self) -> Lines:
        """Delete the DaemonSets, unless that was done already, and report their pods. ApiError, UnreachableError."""
        left = [name for name in self._chosen.daemonsets if not self._stopped(self._path(name))]
        return tuple(f"DaemonSet {name} still has pods" for name in left)

    def waiting(self) -> Lines:
        """Return the progress of the DaemonSets until they are ready. ApiError, UnreachableError."""
        found = [self._connection.request("GET", self._path(name)) for name in self._chosen.daemonsets]
        return tuple(filter(None, map(rollout.progress, found)))

    def checking(self) -> Lines:
        """Return the answer of `waiting`, or the nodes that do not enforce. ApiError, UnreachableError."""
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
        """Return a sentence for each pod that is not ready, or one with the error if the pods cannot be read."""
        return _answered(lambda: tuple(rollout.unready(self._pods())))

    def _path(self, daemonset: str) -> str:
        return f"/apis/apps/v1/namespaces/{self._chosen.namespace}/daemonsets/{daemonset}"

    def _stopped(self, path: str) -> bool:
        """Delete the DaemonSet, unless that was done already. Return True if it is gone."""
        try:
            found = self._connection.request("GET", path)
            if "deletionTimestamp" not in found["metadata"]:
                # Foreground: the DaemonSet exists until its last pod has ended.
                self._connection.request("DELETE", path, query={"propagationPolicy": "Foreground"})
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        return False

    def _pods(self) -> tuple[Mapping[str, Any], ...]:
        path = f"/api/v1/namespaces/{self._chosen.namespace}/pods"
        return rollout.pods_of(self._chosen.daemonsets, self._connection.request("GET", path)["items"])
