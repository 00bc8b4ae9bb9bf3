# SPDX-License-Identifier: Apache-2.0
"""The interface of every source of policies, namespaces and pods: a folder of manifests, or the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.model import Defaults, Pod
    from oompolicy.oomsettings import ProgramSettings
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.objects.known import ResolvedPods

MAX_DELETED: Final = 512
"""Pods that are kept after their objects were deleted, so that their last victims can be named."""


class ObjectSource(Protocol):
    """A source of objects. `known` is the last good state, or None before the first.

    Only `reload` and `restore` change `known`. `settle` is the number of seconds from a change to `reload`, so that
    changes that come together cause one `reload`.
    """

    fd: int
    settle: float
    known: ResolvedPods | None

    @property
    def unwatched(self) -> str | None:
        """A sentence while changes are found at the next full check only, or None."""

    @property
    def wanted(self) -> ProgramSettings | None:
        """The settings that OOMSettings has for the programs of this node, or None while no OOMSettings is known."""

    @property
    def defaults(self) -> Defaults:
        """The priorities of pods without a policy. While no OOMSettings is known, those of the checkpoint."""

    @property
    def max_kills(self) -> int | None:
        """The kills by policies in a minute that the node may reach, 0 for no limit, or None as `wanted`."""

    @property
    def discloses(self) -> bool:
        """True if the Event of a victim may name pods of other namespaces."""

    @property
    def incomplete(self) -> bool:
        """True until the first complete lists have arrived. Until then, running pods may be missing from `known`."""

    @property
    def since(self) -> float | None:
        """The time of the oldest change since the last `reload`, on time.monotonic."""

    @property
    def pods_for_naming(self) -> tuple[Pod, ...]:
        """The pods that a victim can belong to: the known pods, and pods that were deleted."""

    def restore(self, saved: Checkpoint) -> None:
        """Begin with the state from the checkpoint."""

    def start(self) -> None:
        """Begin to follow the objects. From then on, `fd` is readable after a change."""

    def changed(self) -> bool:
        """Return True if objects may have changed. The loop calls this when `fd` is readable."""

    def poll(self) -> bool:
        """Check for changes that no event reported. Return True if `reload` is due."""

    def reload(self) -> bool:
        """Take over the present objects. Return True if `known` or `defaults` changed.

        The problem NotSynced stays until the caller has applied them.
        """

    def close(self) -> None:
        """Stop following the objects."""


class DeletedPods:
    """Pods whose objects were deleted. Their victims can be reported later than that."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}

    def beside(self, known: ResolvedPods | None) -> tuple[Pod, ...]:
        """Return the deleted pods, and then the known ones."""
        return (*self._pods.values(), *(known.pods if known else ()))

    def update(self, before: Iterable[Pod], now: Iterable[Pod]) -> None:
        """Add the pods of `before` that do not exist `now`, and keep the last `MAX_DELETED`."""
        present = {name for pod in now for name in (pod.uid, _place(pod))}
        candidates = {**self._pods, **{pod.uid: pod for pod in before}}
        deleted = [(uid, pod) for uid, pod in candidates.items() if uid not in present and _place(pod) not in present]
        self._pods = dict(deleted[-MAX_DELETED:])


def _place(pod: Pod) -> tuple[str, str, str]:
    """Return the identity of a pod apart from its uid: a mirror pod that is created again has another uid."""
    return pod.cgroup_uid, pod.namespace, pod.name
