# SPDX-License-Identifier: Apache-2.0
"""The load of agents on the API server: their watches, and an answer to each change of policies.

An `Agent` has the token of its own pod and the informers of the real agent. It has no map and no kernel.
`OtherNodes` stands for all nodes without an `Agent`. It watches once, and answers for each node as fast as the API
server accepts it.
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
    """Handles the watch of policies, and answers with their hash each time that it changes."""

    def __init__(self, connection: Connection, answer: Callable[[str], None]) -> None:
        """Prepare the informer, which calls `answer` from its thread."""
        self._answer = answer
        self._policies: dict[str, OOMPolicy] = {}
        self._hash = ""
        self.informer = Informer(connection, f"{GROUP}/oompolicies", keep=parse_policy, handler=self)
        self.answered: dict[str, float] = {}
        """The monotonic times after the answers, by hash."""

    def replaced(self, objects: Mapping[str, OOMPolicy]) -> None:
        """Keep all policies."""
        self._policies = dict(objects)
        self._answer_if_changed()

    def changed(self, uid: str, obj: OOMPolicy) -> None:
        """Keep one policy that is new or changed."""
        self._policies[uid] = obj
        self._answer_if_changed()

    def deleted(self, uid: str) -> None:
        """Forget one policy."""
        self._policies.pop(uid, None)
        self._answer_if_changed()

    def _answer_if_changed(self) -> None:
        # A status of a policy does not change the hash, and needs no answer.
        if (now := policy_hash(self._policies.values())) != self._hash:
            self._hash = now
            self._answer(now)
            self.answered[now] = time.monotonic()


class Agent:
    """The watches and the answers of one node's agent."""

    def __init__(self, connection: Connection, node: str) -> None:
        """Prepare the informers."""
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
        """Start the watches."""
        for informer in self._informers:
            informer.start()

    def stop(self) -> None:
        """End the watches."""
        for informer in self._informers:
            informer.stop()

    @property
    def synced(self) -> bool:
        """All three informers have a whole list, and the agent has answered once."""
        return all(informer.synced for informer in self._informers) and bool(self.policies.answered)


class OtherNodes:
    """The answers of many nodes without an `Agent`."""

    def __init__(self, connection: Connection, nodes: Sequence[str]) -> None:
        """Prepare the informers."""
        self._connection, self._nodes = connection, nodes
        self._writers = ThreadPoolExecutor(WRITERS)
        self.policies = Policies(connection, self._answer)

    def start(self) -> None:
        """Start the watches."""
        self.policies.informer.start()

    def stop(self) -> None:
        """End the watch, and wait for the answers that are being written."""
        self.policies.informer.stop()
        self._writers.shutdown()

    def _answer(self, applied: str) -> None:
        for _ in self._writers.map(lambda node: answer(self._connection, node, applied), self._nodes):
            pass


def answer(connection: Connection, node: str, applied: str) -> None:
    """Write the OOMNode status of a healthy node."""
    body = {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMNode",
        "metadata": {"name": node},
        "status": status(applied),
    }
    apply(connection, f"{GROUP}/oomnodes/{node}", body, manager="oompolicy-agent", subresource="status", force=True)


def status(applied: str) -> dict[str, Any]:
    """Return a status as big as that of a real node."""
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
    """Keep no field of an object, because only its transfer is measured."""


class Ignore:
    """A handler that does nothing."""

    def replaced(self, objects: Mapping[str, None]) -> None:
        """Ignore a whole list."""

    def changed(self, uid: str, obj: None) -> None:
        """Ignore one object."""

    def deleted(self, uid: str) -> None:
        """Ignore one object."""
