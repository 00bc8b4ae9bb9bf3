# SPDX-License-Identifier: Apache-2.0
"""Follows a folder of manifests, and keeps its last good state.

While any manifest in the folder is invalid, none of it is taken over. A part of the policies would give pods priorities
that no user asked for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from oompolicy.model import Defaults
from oompolicy.resolve.modes import program_settings
from oompolicy_agent.objects.known import Fingerprint, ResolvedPods, decide, fingerprint, restored
from oompolicy_agent.objects.manifestfolder import ManifestFolder
from oompolicy_agent.objects.source import DeletedPods
from oompolicy_agent.plumbing.folderwatch import FolderWatch
from oompolicy_agent.plumbing.memory import give_back
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.model import Pod
    from oompolicy.oomsettings import OOMSettings, ProgramSettings
    from oompolicy_agent.objects.checkpoint import Checkpoint
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems


class FolderSource:
    """The `ObjectSource` that reads a folder."""

    incomplete = False
    discloses = True  # a folder has no tenants from whom anything could be hidden

    def __init__(self, folder: Path, settings: Settings, problems: Problems) -> None:
        """Begin to watch the folder, without reading it. Raise OSError if it cannot be watched."""
        self._path, self._settings, self._problems = folder, settings, problems
        self._fingerprint: Fingerprint = ()
        self._watch = FolderWatch(folder)
        self._folder = ManifestFolder(folder)
        self._deleted = DeletedPods()
        self.fd = self._watch.fd
        self.settle = settings.settle
        self.known: ResolvedPods | None = None
        self.since: float | None = None
        self._node_settings: OOMSettings | None = None
        self._restored_defaults = Defaults()

    @property
    def wanted(self) -> ProgramSettings | None:
        """The settings that OOMSettings has for the programs of all nodes, or None while no OOMSettings is known."""
        return program_settings(self._node_settings, None) if self._node_settings else None

    @property
    def defaults(self) -> Defaults:
        """The priorities of pods without a policy. While no OOMSettings is known, those of the checkpoint."""
        return self._node_settings.defaults if self._node_settings else self._restored_defaults

    @property
    def max_kills(self) -> int | None:
        """The kills by policies in a minute that the node may reach, 0 for no limit, or None as `wanted`."""
        return self._node_settings.max_kills_per_minute if self._node_settings else None

    @property
    def unwatched(self) -> str | None:
        """A sentence while changes are found at the next full check only, or None."""
        return self._watch.problem

    @property
    def pods_for_naming(self) -> tuple[Pod, ...]:
        """The pods that a victim can belong to: the known pods, and pods that were deleted."""
        return self._deleted.beside(self.known)

    def restore(self, saved: Checkpoint) -> None:
        """Begin with the state from the checkpoint."""
        self._restored_defaults = saved.defaults or Defaults()
        self.known = restored(saved, self._settings.node)

    def start(self) -> None:
        """Read the folder, which is watched already."""
        self.reload()

    def changed(self) -> bool:
        """Return True if files may have changed. The loop calls this when `fd` is readable."""
        changed = self._watch.changed()
        if changed and self.since is None:
            self.since = time.monotonic()
        return changed

    def poll(self) -> bool:
        """Watch the folder that is at the path now. Return True if a file changed since the last `reload`."""
        self._watch.renew()
        return fingerprint(self._path) != self._fingerprint

    def reload(self) -> bool:
        """Read the folder. Return True if `known` or `defaults` changed."""
        self.since = None
        changed = self._reload()
        give_back()
        return changed

    def close(self) -> None:
        """End the watch of the folder."""
        self._watch.close()

    def _reload(self) -> bool:
        self._fingerprint = fingerprint(self._path)
        manifests = self._folder.load()
        self._problems.set(Reason.INVALID_MANIFESTS, *map(str, manifests.problems))
        if manifests.problems:
            return False
        defaults = self.defaults
        self._take_settings(manifests.settings)
        known = decide(manifests, self._settings.node, self.defaults)
        if known == self.known and defaults == self.defaults:
            return False
        self._deleted.update(self.known.pods if self.known else (), known.pods)
        self.known = known
        return True

    def _take_settings(self, settings: OOMSettings | None) -> None:
        """Take over OOMSettings. If it is gone, the last one stays, as with an API server."""
        self._node_settings = settings or self._node_settings
        unused = bool(settings and settings.node_modes)
        self._problems.set(
            Reason.SETTINGS_NOT_SYNCED,
            "OOMSettings/cluster: spec.nodeModes has no effect, because a folder has no operator" if unused else None,
        )
