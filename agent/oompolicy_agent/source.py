# SPDX-License-Identifier: Apache-2.0
"""Follows the folder of manifests, and keeps the last good state of it.

All or nothing: while anything in the folder is wrong, nothing of it is taken over. Half a set of policies would
give pods priorities that nobody wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_agent.folder import FolderWatch
from oompolicy_agent.known import Fingerprint, Known, decide, fingerprint, read_checkpoint
from oompolicy_agent.manifestfolder import ManifestFolder
from oompolicy_agent.memory import give_back

if TYPE_CHECKING:
    from oompolicy.model import Pod
    from oompolicy_agent.checkpoint import Checkpoint
    from oompolicy_agent.problems import Problems
    from oompolicy_agent.settings import Settings


FORMER: Final = 512
"""Pods remembered after their object went: until their last victim is reported."""


class Source:
    """`known` is the last good state, None before the first."""

    def __init__(self, settings: Settings, problems: Problems) -> None:
        """Begin to watch; nothing is read yet."""
        self._settings, self._problems = settings, problems
        self._fingerprint: Fingerprint = ()
        self._watch = FolderWatch(settings.manifests)
        self._folder = ManifestFolder(settings.manifests)
        self.fd = self._watch.fd
        self.known: Known | None = None
        self._former: dict[str, Pod] = {}

    @property
    def nameable(self) -> tuple[Pod, ...]:
        """All pods that a victim may have been of: the known ones, and those that were."""
        return (*self._former.values(), *(self.known.pods if self.known else ()))

    def restore(self, saved: Checkpoint) -> None:
        """Begin with what an earlier agent knew."""
        manifests = read_checkpoint(saved)
        if not manifests.problems:
            self.known = decide(manifests, self._settings.node, self._settings.defaults)

    def changed(self) -> bool:
        """Whether the folder may say something else now; call it when `fd` is readable."""
        return self._watch.changed()

    def overlooked(self) -> bool:
        """Whether it does although no event said so; and the folder that is at the path now is watched."""
        self._watch.renew()
        return fingerprint(self._settings.manifests) != self._fingerprint

    def reload(self) -> bool:
        """Read the folder; True if `known` changed. Otherwise it is what it was."""
        changed = self._reload()
        give_back()
        return changed

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def _reload(self) -> bool:
        self._fingerprint = fingerprint(self._settings.manifests)
        manifests = self._folder.load()
        self._problems.set("manifests", *map(str, manifests.problems))
        if manifests.problems:
            return False
        known = decide(manifests, self._settings.node, self._settings.defaults)
        changed = known != self.known
        self._take_over(known)
        return changed

    def _take_over(self, known: Known) -> None:
        before = self.known.pods if self.known else ()
        there = {pod.cgroup_uid for pod in known.pods}
        former = {**self._former, **{pod.cgroup_uid: pod for pod in before}}
        gone = [(uid, pod) for uid, pod in former.items() if uid not in there]
        self._former = dict(gone[-FORMER:])
        self.known = known
