# SPDX-License-Identifier: Apache-2.0
"""Follows policies, namespaces and this node's pods at the API server.

Until all three were told once, what the checkpoint gave stays in force: a node boots without an API server and goes
by what it last knew. From then on the last state stays in force whenever the API server is away.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.kube.informer import Informer
from oompolicy.labels import AskedLabels
from oompolicy.model import API_VERSION
from oompolicy_agent.api.collected import Slim, WatchedObjects, keep_as
from oompolicy_agent.api.resolution import Resolution, readable
from oompolicy_agent.api.silence import Failing, OutageNotice
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.objects.known import ResolvedPods, restored
from oompolicy_agent.objects.source import Former
from oompolicy_agent.plumbing.memory import give_back
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection
    from oompolicy.model import Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems

POLICIES: Final = f"/apis/{API_VERSION}/oompolicies"
NAMESPACES: Final = "/api/v1/namespaces"
PODS: Final = "/api/v1/pods"
NOT_FINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""Finished pods stay for weeks, and a node that was short of memory has thousands of them."""


class Followed(NamedTuple):
    """One collection: who follows it, and what was heard."""

    informer: Informer[Slim]
    heard: WatchedObjects


class ApiSource:
    """A `Source`."""

    unwatched = ""

    def __init__(self, connection: Connection, settings: Settings, problems: Problems) -> None:
        """Nothing is asked yet."""
        self._settings, self._problems = settings, problems
        self._wake = Wake()
        self._resolution = Resolution(settings.defaults)
        self._former = Former()
        self._silence = OutageNotice(settings.deaf_after)
        self._told = False
        self._asked = AskedLabels()
        self.followed = follow(connection, settings, self._wake, self._asked)
        self._asked.again = self.followed["pods"].informer.relist
        self.fd = self._wake.fd
        self.settle = settings.api_settle
        self.known: ResolvedPods | None = None

    @property
    def expecting(self) -> bool:
        """Whether `known` is still the checkpoint's, or nothing: the API server has yet to tell."""
        return not self._told

    @property
    def since(self) -> float | None:
        """When the oldest change came in that `reload` has not taken over yet."""
        return min((since for each in self.followed.values() if (since := each.heard.since) is not None), default=None)

    @property
    def synced(self) -> bool:
        """Whether the API server has told all there is."""
        return all(each.heard.synced for each in self.followed.values())

    @property
    def nameable(self) -> tuple[Pod, ...]:
        """All pods that a victim may have been of: the known ones, and those that were."""
        return self._former.beside(self.known)

    def restore(self, saved: Checkpoint) -> None:
        """Begin with what an earlier agent knew."""
        self.known = restored(saved, self._settings.node, self._settings.defaults)

    def start(self) -> None:
        """Begin to follow."""
        for each in self.followed.values():
            each.informer.start()
        self.look()

    def changed(self) -> bool:
        """Whether anything was told; call it when `fd` is readable."""
        return self._wake.take()

    def look(self) -> bool:
        """State what is not heard. A change always wakes, so `reload` is never due."""
        if not self.synced:
            self._problems.set(Reason.NOT_SYNCED, self._waiting())
            return False
        now = time.monotonic()
        informers = [each.informer for each in self.followed.values()]
        failing = [Failing(informer.failing, now - informer.last_reply) for informer in informers if informer.failing]
        self._problems.set(Reason.API_UNREACHABLE, self._silence.look(failing, now, time.time()))
        return False

    def reload(self) -> bool:
        """Resolve what was told; True unless something was never told yet."""
        if not self.synced:
            return False
        before = self.known.pods if self.known else ()
        finished = [slim for each in self.followed.values() for slim in each.heard.take_finished()]
        self.known = self._resolution.decide(*(each.heard.take() for each in self.followed.values()))
        self._asked.ask(self._resolution.policies)
        # What a pod was at its end says most: a container that ended at once has its id from then on only.
        self._former.update((*before, *readable(finished)), self.known.pods)
        self._problems.set(Reason.NOT_SYNCED)
        self._problems.set(Reason.POLICIES_LEFT_OUT, *self._resolution.policy_problems)
        self._problems.set(Reason.UNKNOWN_FIELDS, *self._resolution.unknown_fields)
        self._problems.set(Reason.POD_FIELDS_UNREADABLE, *self._resolution.pod_problems)
        if not self._told:
            self._told = True
            give_back()
        return True

    def close(self) -> None:
        """Follow no longer."""
        for each in self.followed.values():
            each.informer.stop()
        self._wake.close()

    def _waiting(self) -> str:
        silent = {name: each.informer for name, each in self.followed.items() if not each.heard.synced}
        reasons = [informer.failing for informer in silent.values() if informer.failing]
        held = "what the checkpoint knows is enforced" if self.known else "nothing is known yet"
        return "; ".join([f"the API server has not told of {', '.join(silent)} yet, {held}", *reasons])


def follow(connection: Connection, settings: Settings, wake: Wake, asked: AskedLabels) -> dict[str, Followed]:
    """Who follows what; policies, namespaces, pods. `asked` says which labels of pods are kept."""

    def followed(path: str, api_version: str, kind: str, **options: Any) -> Followed:  # noqa: ANN401 (Informer's)
        heard = WatchedObjects(wake)
        return Followed(
            Informer(connection, path, keep=keep_as(api_version, kind, asked), handler=heard, **options), heard
        )

    # Constrained impersonation (KEP-5284): the API server lets an agent be its own node, for these requests only.
    headers = {"Impersonate-User": f"system:node:{settings.node}"} if settings.impersonate_node else {}
    own = f"spec.nodeName={settings.node}"
    return {
        "policies": followed(POLICIES, API_VERSION, "OOMPolicy"),
        "namespaces": followed(NAMESPACES, "v1", "Namespace", metadata_only=True),
        "pods": followed(PODS, "v1", "Pod", field_selector=own, list_only=NOT_FINISHED, headers=headers),
    }
