# SPDX-License-Identifier: Apache-2.0
"""What the agent asks of wherever its objects come from: a folder of manifests, or the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.model import Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.objects.known import ResolvedPods

FORMER: Final = 512
"""Pods remembered after their object went: until their last victim is reported."""


class ObjectSource(Protocol):
    """`known` is the last good state, None before the first; only `reload` and `restore` change it.

    `settle`: seconds from a change to `reload`, for changes that come together.
    """

    fd: int
    settle: float
    known: ResolvedPods | None

    @property
    def unwatched(self) -> str:
        """A sentence while changes are seen at the next full check only, or empty."""

    @property
    def expecting(self) -> bool:
        """Whether pods that are there long since may not be known yet, because nobody was there to ask."""

    @property
    def since(self) -> float | None:
        """When the oldest change came in that `reload` has not taken over yet, on time.monotonic."""

    @property
    def nameable(self) -> tuple[Pod, ...]:
        """All pods that a victim may have been of: the known ones, and those that were."""

    def restore(self, saved: Checkpoint) -> None:
        """Begin with what an earlier agent knew."""

    def start(self) -> None:
        """Begin to follow; `fd` is readable when there may be something new."""

    def changed(self) -> bool:
        """Whether there is; call it when `fd` is readable."""

    def look(self) -> bool:
        """Look for what no event told; True if `reload` is due."""

    def reload(self) -> bool:
        """Take over what there is; True if `known` changed."""

    def close(self) -> None:
        """Follow no longer."""


class Former:
    """Pods whose object is gone: their victims may be reported after that."""

    def __init__(self) -> None:
        """None."""
        self._pods: dict[str, Pod] = {}

    def beside(self, known: ResolvedPods | None) -> tuple[Pod, ...]:
        """Those that went last, and then the known ones."""
        return (*self._pods.values(), *(known.pods if known else ()))

    def update(self, before: Iterable[Pod], now: Iterable[Pod]) -> None:
        """Remember those of `before` that are not there `now`."""
        there = {name for pod in now for name in (pod.uid, _place(pod))}
        former = {**self._pods, **{pod.uid: pod for pod in before}}
        gone = [(uid, pod) for uid, pod in former.items() if uid not in there and _place(pod) not in there]
        self._pods = dict(gone[-FORMER:])


def _place(pod: Pod) -> tuple[str, str, str]:
    """A mirror pod that is made anew has another uid, and is the same pod."""
    return pod.cgroup_uid, pod.namespace, pod.name
