# SPDX-License-Identifier: Apache-2.0
"""Reads a folder of manifests, and of a file that did not change only what it remembers of it.

300 pods in YAML are half a second and tens of megabytes to read whole; one changed file is neither.
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
"""A file younger than this may change again without its time showing it: that clock ticks every few milliseconds."""

Stamp = tuple[int, int, int]


class ManifestFolder:
    """Remembers the objects of good files, cut down, as JSON."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._read: dict[Path, tuple[Stamp, str]] = {}

    def load(self) -> Manifests:
        """What `oompolicy.manifests.load_manifests` says of the folder; the objects are cut down."""
        # Imports the YAML reader, which an agent that asks the API server does not need.
        from oompolicy.manifests import load_manifests, manifests_from_objects  # noqa: PLC0415

        files = self._files()
        if files is None:
            return load_manifests([self._folder])
        self._read = {file: self._read[file] for file in files if file in self._read}
        problems: list[Problem] = []
        found = manifests_from_objects(pair for file in files for pair in self._objects(file, problems))
        return replace(found, problems=(*problems, *found.problems))

    def _files(self) -> list[Path] | None:
        """None if the folder cannot be read; then `load_manifests` says why."""
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
    """Before it is read: what changes meanwhile shows the next time. Zeros where it is gone."""
    try:
        stat = file.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
