# SPDX-License-Identifier: Apache-2.0
"""Follows the folder of manifests, and keeps the last good state of it.

All or nothing: while anything in the folder is wrong, nothing of it is taken over. Half a set of policies would
give pods priorities that nobody wrote.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from oompolicy_agent.objects.known import Fingerprint, ResolvedPods, decide, fingerprint, restored
from oompolicy_agent.objects.manifestfolder import ManifestFolder
from oompolicy_agent.objects.source import Former
from oompolicy_agent.plumbing.folderwatch import FolderWatch
from oompolicy_agent.plumbing.memory import give_back
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.model import Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems


class FolderSource:
    """A `Source`."""

    expecting = False

    def __init__(self, folder: Path, settings: Settings, problems: Problems) -> None:
        """Begin to watch; nothing is read yet."""
        self._path, self._settings, self._problems = folder, settings, problems
        self._fingerprint: Fingerprint = ()
        self._watch = FolderWatch(folder)
        self._folder = ManifestFolder(folder)
        self._former = Former()
        self.fd = self._watch.fd
        self.settle = settings.settle
        self.known: ResolvedPods | None = None
        self.since: float | None = None

    @property
    def unwatched(self) -> str:
        """A sentence while changes are seen at the next full check only, or empty."""
        return self._watch.problem

    @property
    def nameable(self) -> tuple[Pod, ...]:
        """All pods that a victim may have been of: the known ones, and those that were."""
        return self._former.beside(self.known)

    def restore(self, saved: Checkpoint) -> None:
        """Begin with what an earlier agent knew."""
        self.known = restored(saved, self._settings.node, self._settings.defaults)

    def start(self) -> None:
        """Read the folder; it is watched already."""
        self.reload()

    def changed(self) -> bool:
        """Whether the folder may say something else now; call it when `fd` is readable."""
        changed = self._watch.changed()
        if changed and self.since is None:
            self.since = time.monotonic()
        return changed

    def look(self) -> bool:
        """Whether it does although no event said so; and the folder that is at the path now is watched."""
        self._watch.renew()
        return fingerprint(self._path) != self._fingerprint

    def reload(self) -> bool:
        """Read the folder; True if `known` changed. Otherwise it is what it was."""
        self.since = None
        changed = self._reload()
        give_back()
        return changed

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def _reload(self) -> bool:
        self._fingerprint = fingerprint(self._path)
        manifests = self._folder.load()
        self._problems.set(Reason.INVALID_MANIFESTS, *map(str, manifests.problems))
        if manifests.problems:
            return False
        known = decide(manifests, self._settings.node, self._settings.defaults)
        if known == self.known:
            return False
        self._former.update(self.known.pods if self.known else (), known.pods)
        self.known = known
        return True
