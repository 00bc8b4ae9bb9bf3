# SPDX-License-Identifier: Apache-2.0
"""Reads a folder of manifests, and parses only the files that changed since the last time.

To parse 300 pods in YAML takes half a second and tens of megabytes. To parse one changed file takes little.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.objects.trim import trim

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.manifests import Manifests
    from oompolicy.parse.problems import Problem

_RECENT_NS: Final = 100_000_000
"""The age from which the time of a file shows each change. Its clock ticks every few milliseconds only."""

Stamp = tuple[int, int, int]


class ManifestFolder:
    """A folder of manifests, with the trimmed objects of its valid files as JSON."""

    def __init__(self, folder: Path) -> None:
        """Take the folder without reading it."""
        self._folder = folder
        self._read: dict[Path, tuple[Stamp, str]] = {}

    def load(self) -> Manifests:
        """Return the manifests of the folder, as `oompolicy.manifests.load_manifests` does. The objects are trimmed."""
        # This imports the YAML reader, which an agent with an API server does not need.
        from oompolicy.manifests import load_manifests, manifests_from_objects  # noqa: PLC0415

        files = self._files()
        if files is None:
            return load_manifests([self._folder])
        self._read = {file: self._read[file] for file in files if file in self._read}
        problems: list[Problem] = []
        found = manifests_from_objects(pair for file in files for pair in self._objects(file, problems))
        return replace(found, problems=(*problems, *found.problems))

    def _files(self) -> list[Path] | None:
        """Return the files, or None if the folder cannot be read. `load_manifests` then reports the reason."""
        from oompolicy.manifests.documents import files_of  # noqa: PLC0415

        try:
            return files_of(self._folder) if self._folder.is_dir() else None
        except OSError:
            return None

    def _objects(self, file: Path, problems: list[Problem]) -> list[tuple[str, dict[str, Any]]]:
        stamp, now = _stamp(file), time.time_ns()
        known = self._read.get(file)
        if known is None or known[0] != stamp:
            found = _fresh(file)
            problems += found.problems
            known = stamp, json.dumps([trim(raw) for _, raw in found.objects], ensure_ascii=False)
            if not found.problems and now - stamp[1] > _RECENT_NS:
                self._read[file] = known
        return [(str(file), raw) for raw in json.loads(known[1])]


def _fresh(file: Path) -> Manifests:
    from oompolicy.manifests import load_manifests  # noqa: PLC0415

    return load_manifests([file])


def _stamp(file: Path) -> Stamp:
    """Return a value that changes with the file, or zeros if the file was deleted.

    It is taken before the file is read, so that a change in between is found the next time.
    """
    try:
        stat = file.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
