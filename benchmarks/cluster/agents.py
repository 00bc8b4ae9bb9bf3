# SPDX-License-Identifier: Apache-2.0
"""What agents ask of the API server: their watches, and an answer to each change of policies.

An `Agent` has the token of its own pod and the informers of the real one; there is no map and no kernel behind it.
The `Rest` is all other nodes: it watches once and answers for each, as fast as the API server takes it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.connection import apply
from oompolicy.kube.informer import Informer
from oompolicy.parse import parse_policy
from oompolicy.policyhash import policy_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from oompolicy.kube.connection import Connection
    from oompolicy.model import OOMPolicy

GROUP: Final = "/apis/oompolicy.dev/v1alpha1"
WRITERS: Final = 16


class Policies:
    """Handles the watch of policies: says their hash whenever it becomes another."""

    def __init__(self, connection: Connection, answer: Callable[[str], None]) -> None:
        """`answer` is called from the informer's thread."""
        self._answer = answer
        self._policies: dict[str, OOMPolicy] = {}
        self._hash = ""
        self.informer = Informer(connection, f"{GROUP}/oompolicies", keep=parse_policy, handler=self)
        self.answered: dict[str, float] = {}
        """When (monotonic) the answer to a hash had been given."""

    def replaced(self, objects: Mapping[str, OOMPolicy]) -> None:
        """All policies there are."""
        self._policies = dict(objects)
        self._say()

    def changed(self, uid: str, obj: OOMPolicy) -> None:
        """One is new, or another."""
        self._policies[uid] = obj
        self._say()

    def deleted(self, uid: str) -> None:
        """One is gone."""
        self._policies.pop(uid, None)
        self._say()

    def _say(self) -> None:
        # A status of a policy changes no hash, and is no reason to write.
        if (now := policy_hash(self._policies.values())) != self._hash:
            self._hash = now
            self._answer(now)
            self.answered[now] = time.monotonic()


class Agent:
    """One node's."""

    def __init__(self, connection: Connection, node: str) -> None:
        """Not started yet."""
        self.policies = Policies(connection, lambda applied: answer(connection, node, applied))
        self._informers: tuple[Informer[Any], ...] = (
            self.policies.informer,
            Informer(connection, "/api/v1/namespaces", keep=nothing, handler=Ignore(), metadata_only=True),
            Informer(
                connection,
                "/api/v1/pods",
                keep=nothing,
                handler=Ignore(),
                field_selector=f"spec.nodeName={node}",
                headers={"Impersonate-User": f"system:node:{node}"},
            ),
        )

    def start(self) -> None:
        """Begin to watch."""
        for informer in self._informers:
            informer.start()

    def stop(self) -> None:
        """End the watches."""
        for informer in self._informers:
            informer.stop()

    @property
    def synced(self) -> bool:
        """All three have had a whole list, and the first answer is given."""
        return all(informer.synced for informer in self._informers) and bool(self.policies.answered)


class Rest:
    """Many nodes without an agent of their own."""

    def __init__(self, connection: Connection, nodes: Sequence[str]) -> None:
        """Not started yet."""
        self._connection, self._nodes = connection, nodes
        self._writers = ThreadPoolExecutor(WRITERS)
        self.policies = Policies(connection, self._answer)

    def start(self) -> None:
        """Begin to watch."""
        self.policies.informer.start()

    def stop(self) -> None:
        """End the watch; what is being written is."""
        self.policies.informer.stop()
        self._writers.shutdown()

    def _answer(self, applied: str) -> None:
        for _ in self._writers.map(lambda node: answer(self._connection, node, applied), self._nodes):
            pass


def answer(connection: Connection, node: str, applied: str) -> None:
    """Write what a healthy node says of itself."""
    body = {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMNode",
        "metadata": {"name": node},
        "status": status(applied),
    }
    apply(connection, f"{GROUP}/oomnodes/{node}", body, manager="oompolicy-agent", subresource="status", force=True)


def status(applied: str) -> dict[str, Any]:
    """Of the size of a real one."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "mode": "Enforce",
        "backend": "EvaluateTask",
        "hook": "Module",
        "kernelVersion": "6.12.107+deb13-cloud-amd64",
        "policyHash": applied,
        "conditions": [
            {"type": kind, "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": now}
            for kind in ("Ready", "Enforcing", "Synced")
        ],
    }


def nothing(_: dict[str, Any]) -> None:
    """What is kept of an object that matters only on the wire."""


class Ignore:
    """A handler that does."""

    def replaced(self, objects: Mapping[str, None]) -> None:
        """A whole list."""

    def changed(self, uid: str, obj: None) -> None:
        """One."""

    def deleted(self, uid: str) -> None:
        """One."""
