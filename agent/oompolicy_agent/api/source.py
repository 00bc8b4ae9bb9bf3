# SPDX-License-Identifier: Apache-2.0
"""Follows policies, namespaces and the pods of this node at the API server.

Until a complete list of all three has arrived, the state from the checkpoint stays in force, so that a node can boot
without an API server. Afterwards the last state stays in force while the API server is unreachable.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.api import API_VERSION, NAMESPACES, PODS, POLICIES
from oompolicy.kube.informer import Informer
from oompolicy.labels import LabelFilter
from oompolicy_agent.api.collected import TrimmedObject, WatchedObjects, keep_as
from oompolicy_agent.api.outage import FailingWatch, OutageNotice
from oompolicy_agent.api.resolution import Resolution, readable
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.objects.known import ResolvedPods, restored
from oompolicy_agent.objects.source import DeletedPods
from oompolicy_agent.plumbing.memory import give_back
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection
    from oompolicy.model import Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems

NOT_FINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""The selector that leaves out finished pods. They exist for weeks, and a node can have thousands of them."""


class Followed(NamedTuple):
    """One collection: its informer, and the objects that the informer received."""

    informer: Informer[TrimmedObject]
    objects: WatchedObjects


class ApiSource:
    """The `ObjectSource` that follows the API server."""

    unwatched = None

    def __init__(self, connection: Connection, settings: Settings, problems: Problems) -> None:
        """Begin without a request."""
        self._settings, self._problems = settings, problems
        self._wake = Wake()
        self._resolution = Resolution(settings.defaults)
        self._deleted = DeletedPods()
        self._outage = OutageNotice(settings.outage_after)
        self._complete = False
        self._label_filter = LabelFilter()
        self.followed = follow(connection, settings, self._wake, self._label_filter)
        self._label_filter.read_again = self.followed["pods"].informer.relist
        self.fd = self._wake.fd
        self.settle = settings.api_settle
        self.known: ResolvedPods | None = None

    @property
    def incomplete(self) -> bool:
        """True until the first `reload` after complete lists. `known` is from the checkpoint until then, or None."""
        return not self._complete

    @property
    def since(self) -> float | None:
        """The time of the oldest change since the last `reload`, on time.monotonic."""
        return min(
            (since for each in self.followed.values() if (since := each.objects.since) is not None), default=None
        )

    @property
    def synced(self) -> bool:
        """True once a complete list of each collection was received."""
        return all(each.objects.synced for each in self.followed.values())

    @property
    def pods_for_naming(self) -> tuple[Pod, ...]:
        """The pods that a victim can belong to: the known pods, and pods that were deleted."""
        return self._deleted.beside(self.known)

    def restore(self, saved: Checkpoint) -> None:
        """Begin with the state from the checkpoint."""
        self.known = restored(saved, self._settings.node, self._settings.defaults)

    def start(self) -> None:
        """Start the informers."""
        for each in self.followed.values():
            each.informer.start()
        self.poll()

    def changed(self) -> bool:
        """Return True if objects changed. The loop calls this when `fd` is readable."""
        return self._wake.take()

    def poll(self) -> bool:
        """Update the problems with the API server. Return False, because each change wakes the loop."""
        if not self.synced:
            self._problems.set(Reason.NOT_SYNCED, self._waiting())
            return False
        now = time.monotonic()
        informers = [each.informer for each in self.followed.values()]
        failing = [
            FailingWatch(informer.failing, now - informer.last_reply) for informer in informers if informer.failing
        ]
        self._problems.set(Reason.API_UNREACHABLE, self._outage.update(failing, now, time.time()))
        return False

    def reload(self) -> bool:
        """Resolve the received objects. Return False if a complete list is still missing."""
        if not self.synced:
            return False
        before = self.known.pods if self.known else ()
        finished = [trimmed for each in self.followed.values() for trimmed in each.objects.take_finished()]
        self.known = self._resolution.decide(*(each.objects.take() for each in self.followed.values()))
        self._label_filter.set_policies(self._resolution.policies)
        # The last state of a pod is the most complete. The id of a container that ended at once is only in that state.
        self._deleted.update((*before, *readable(finished)), self.known.pods)
        self._problems.set(Reason.NOT_SYNCED)
        self._problems.set(Reason.POLICIES_LEFT_OUT, *self._resolution.policy_problems)
        self._problems.set(Reason.UNKNOWN_FIELDS, *self._resolution.unknown_fields)
        self._problems.set(Reason.POD_FIELDS_UNREADABLE, *self._resolution.pod_problems)
        if not self._complete:
            self._complete = True
            give_back()
        return True

    def close(self) -> None:
        """Stop the informers without waiting for them."""
        for each in self.followed.values():
            each.informer.stop()
        self._wake.close()

    def _waiting(self) -> str:
        missing = {name: each.informer for name, each in self.followed.items() if not each.objects.synced}
        reasons = [informer.failing for informer in missing.values() if informer.failing]
        state = "priorities from the checkpoint stay in force" if self.known else "there is no usable checkpoint"
        waiting = f"waiting for the first complete list of {', '.join(missing)} from the API server, {state}"
        return "; ".join([waiting, *reasons])


def follow(connection: Connection, settings: Settings, wake: Wake, label_filter: LabelFilter) -> dict[str, Followed]:
    """Return the informers of policies, namespaces and pods. `label_filter` selects the labels of pods to keep."""

    def followed(path: str, api_version: str, kind: str, **options: Any) -> Followed:  # noqa: ANN401 (Informer's)
        objects = WatchedObjects(wake)
        return Followed(
            Informer(connection, path, keep=keep_as(api_version, kind, label_filter), handler=objects, **options),
            objects,
        )

    # Constrained impersonation (KEP-5284): the API server lets an agent act as its own node for these requests only.
    headers = {"Impersonate-User": f"system:node:{settings.node}"} if settings.impersonate_node else {}
    own = f"spec.nodeName={settings.node}"
    return {
        "policies": followed(POLICIES, API_VERSION, "OOMPolicy"),
        "namespaces": followed(NAMESPACES, "v1", "Namespace", metadata_only=True),
        "pods": followed(PODS, "v1", "Pod", field_selector=own, list_only=NOT_FINISHED, headers=headers),
    }
