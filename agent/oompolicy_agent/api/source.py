# SPDX-License-Identifier: Apache-2.0
"""Follows policies, namespaces, the pods of this node and the settings at the API server.

Until a complete list of all three has arrived, the state from the checkpoint stays in force, so that a node can boot
without an API server. Afterwards the last state stays in force while the API server is unreachable.

A pod with many labels keeps only those that policies select by. If the pod was read before a policy that selects by
another label, its labels decide nothing: the last state stays in force until the pods have been read again.

The settings are taken over as soon as they have arrived, because they can stop everything. An API server without the
definition of OOMSettings is older than this agent. The node then keeps its mode.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.api import API_VERSION, NAMESPACES, OOMNODES, PODS, POLICIES, SETTINGS
from oompolicy.kube.informer import Informer
from oompolicy.labels import LabelFilter, keys_of
from oompolicy_agent.api.collected import TrimmedObject, WatchedObjects, keep_as
from oompolicy_agent.api.nodesettings import NodeSettings
from oompolicy_agent.api.outage import FailingWatch, OutageNotice
from oompolicy_agent.api.resolution import Resolution, readable
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.objects.known import ResolvedPods, restored
from oompolicy_agent.objects.source import DeletedPods
from oompolicy_agent.plumbing.memory import give_back
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy.model import Defaults, Pod
    from oompolicy.oomsettings import ProgramSettings
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
        self._deleted = DeletedPods()
        self._outage = OutageNotice(settings.outage_after)
        self._complete = False
        self._waits_since: float | None = None
        self._label_filter = LabelFilter()
        self._node_settings = NodeSettings()
        self._resolution = Resolution(self._node_settings.defaults)
        self._settings_followed = follow_settings(connection, settings, self._wake)
        self._objects_followed = follow(connection, settings, self._wake, self._label_filter)
        self.followed = {**self._objects_followed, **self._settings_followed}
        self._label_filter.read_again = self.followed["pods"].informer.relist
        self.fd = self._wake.fd
        self.settle = settings.api_settle
        self.known: ResolvedPods | None = None

    @property
    def wanted(self) -> ProgramSettings | None:
        """The settings that OOMSettings has for the programs of this node, or None while no OOMSettings is known."""
        return self._node_settings.wanted

    @property
    def defaults(self) -> Defaults:
        """The priorities of pods without a policy. While no OOMSettings is known, those of the checkpoint."""
        return self._node_settings.defaults

    @property
    def max_kills(self) -> int | None:
        """The kills by policies in a minute that the node may reach, 0 for no limit, or None as `wanted`."""
        return self._node_settings.max_kills

    @property
    def discloses(self) -> bool:
        """True if the Event of a victim may name pods of other namespaces."""
        return self._node_settings.discloses

    @property
    def incomplete(self) -> bool:
        """True until the first `reload` after complete lists. `known` is from the checkpoint until then, or None."""
        return not self._complete

    @property
    def since(self) -> float | None:
        """The time of the oldest change since the last `reload` that returned True, on time.monotonic."""
        times = (self._waits_since, *(each.objects.since for each in self.followed.values()))
        return min((since for since in times if since is not None), default=None)

    @property
    def synced(self) -> bool:
        """True once a complete list of policies, namespaces and pods was received."""
        return _synced(self._objects_followed)

    @property
    def pods_for_naming(self) -> tuple[Pod, ...]:
        """The pods that a victim can belong to: the known pods, and pods that were deleted."""
        return self._deleted.beside(self.known)

    def restore(self, saved: Checkpoint) -> None:
        """Begin with the state from the checkpoint."""
        self._node_settings.restore(saved.defaults)
        self.known = restored(saved, self._settings.node)

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
        self._problems.set(Reason.SETTINGS_NOT_SYNCED, *self._settings_problems())
        if not self.synced or (self._waits_since is not None and not self._complete):
            self._problems.set(Reason.NOT_SYNCED, self._waiting())
            return False
        now = time.monotonic()
        informers = [each.informer for each in self.followed.values() if each.objects.synced]
        failing = [
            FailingWatch(informer.failing, now - informer.last_reply) for informer in informers if informer.failing
        ]
        self._problems.set(Reason.API_UNREACHABLE, self._outage.update(failing, now, time.time()))
        return False

    def reload(self) -> bool:
        """Take over the settings, and resolve the received objects. Return False if `known` stays as it is.

        That is so while a complete list is missing, or labels of a pod. The settings are taken over in any case.
        """
        since = self.since
        if _synced(self._settings_followed):
            self._node_settings.update(*(each.objects.take().values() for each in self._settings_followed.values()))
        self._problems.set(Reason.SETTINGS_NOT_SYNCED, *self._settings_problems())
        if not self.synced:
            return False
        policies, namespaces, pods = (each.objects.take() for each in self._objects_followed.values())
        if not self._labels_suffice(policies, pods):
            self._waits_since = since
            return False
        self._waits_since = None
        before = self.known.pods if self.known else ()
        finished = [trimmed for each in self._objects_followed.values() for trimmed in each.objects.take_finished()]
        self._resolution.defaults = self._node_settings.defaults
        self.known = self._resolution.decide(policies, namespaces, pods)
        # The last state of a pod is the most complete. The id of a container that ended at once is only in that state.
        self._deleted.update((*before, *readable(finished)), self.known.pods)
        self._problems.set(Reason.POLICIES_LEFT_OUT, *self._resolution.policy_problems)
        self._problems.set(Reason.UNKNOWN_FIELDS, *self._resolution.unknown_fields, *self._node_settings.unknown)
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

    def _labels_suffice(self, policies: Mapping[str, TrimmedObject], pods: Mapping[str, TrimmedObject]) -> bool:
        """Return True if all pods have the labels that these policies select by. Otherwise have all pods read again."""
        read = self._resolution.read_policies(policies)
        # First of all: a pod that was read with older keys than these is then among those that are read again.
        self._label_filter.set_policies(read)
        keys = keys_of(read)
        return all(pod.has_labels(keys) for pod in pods.values())

    def _waiting(self) -> str:
        missing = {name: each.informer for name, each in self._objects_followed.items() if not each.objects.synced}
        what = f"the first complete list of {', '.join(missing)} from the API server"
        if not missing:
            missing = {"pods": self._objects_followed["pods"].informer}
            what = "a new list of pods from the API server, with the labels that policies select by"
        reasons = [informer.failing for informer in missing.values() if informer.failing]
        state = "priorities from the checkpoint stay in force" if self.known else "there is no usable checkpoint"
        return "; ".join([f"waiting for {what}, {state}", *reasons])

    def _settings_problems(self) -> tuple[str, ...]:
        failing = [
            f"{name} cannot be read, and the node keeps its mode: {each.informer.failing}"
            for name, each in self._settings_followed.items()
            # Without an API server, NotSynced says everything.
            if self.synced and not each.objects.synced and each.informer.failing
        ]
        return (*failing, *self._node_settings.problems)


def _synced(followed: Mapping[str, Followed]) -> bool:
    return all(each.objects.synced for each in followed.values())


def follow_settings(connection: Connection, settings: Settings, wake: Wake) -> dict[str, Followed]:
    """Return the informers of OOMSettings and of the OOMNode of this node."""
    own = f"metadata.name={settings.node}"
    return {
        "settings": _followed(connection, wake, SETTINGS, API_VERSION, "OOMSettings"),
        "oomnodes": _followed(connection, wake, OOMNODES, API_VERSION, "OOMNode", field_selector=own),
    }


def follow(connection: Connection, settings: Settings, wake: Wake, label_filter: LabelFilter) -> dict[str, Followed]:
    """Return the informers of policies, namespaces and pods. `label_filter` selects the labels of pods to keep."""
    # Constrained impersonation (KEP-5284): the API server lets an agent act as its own node for these requests only.
    headers = {"Impersonate-User": f"system:node:{settings.node}"} if settings.impersonate_node else {}
    of_node: dict[str, Any] = {"field_selector": f"spec.nodeName={settings.node}", "list_only": NOT_FINISHED}
    return {
        "policies": _followed(connection, wake, POLICIES, API_VERSION, "OOMPolicy"),
        "namespaces": _followed(connection, wake, NAMESPACES, "v1", "Namespace", metadata_only=True),
        "pods": _followed(connection, wake, PODS, "v1", "Pod", label_filter=label_filter, headers=headers, **of_node),
    }


def _followed(
    connection: Connection,
    wake: Wake,
    path: str,
    api_version: str,
    kind: str,
    *,
    label_filter: LabelFilter | None = None,
    **options: Any,  # noqa: ANN401 (Informer's)
) -> Followed:
    objects, keep = WatchedObjects(wake), keep_as(api_version, kind, label_filter or LabelFilter())
    return Followed(Informer(connection, path, keep=keep, handler=objects, **options), objects)
