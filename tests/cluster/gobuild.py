# SPDX-License-Identifier: Apache-2.0
"""Build programs from the Go module proxy, once: those that no Debian packages as new as they have to be."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.errors import BinariesError
from tests.cluster.golang import find_go, oldest_go
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from pathlib import Path

# Nobody debugs these programs, and without the tables for a debugger the compiler needs a third less time.
NO_DWARF = "-gcflags=all=-dwarf=false"


@dataclass(frozen=True)
class GoPrograms:
    """Programs that are built together: of the same packages, whose objects are not kept."""

    name: str
    sources: Path
    """The folder of go.mod, go.sum and what is our own of the program, if anything."""
    arguments: tuple[str, ...]
    """What follows `go build -o FOLDER`."""
    takes: str
    """How long, on which machine."""

    @property
    def key(self) -> str:
        """Hash what is built and how, so that an edit elsewhere does not cost a build."""
        files = [self.sources / "go.mod", self.sources / "go.sum", *sorted(self.sources.glob("*.go"))]
        parts = [file.read_bytes() for file in files]
        return digest([*parts, *(word.encode() for word in (*self.arguments, *environment_of(self.sources)))])

    @property
    def folder(self) -> Path:
        """Where the programs are once they have been built."""
        return cache_dir() / self.name / self.key

    def ensure(self) -> Path:
        """Return the folder, built now if it is not there. BinariesError."""
        target = self.folder
        with locked(target.with_name(f"{target.name}.lock")):
            if not target.exists():
                with publishing(target) as work:
                    self._build(work)
                say(f"{self.name}: {target}")
        return target

    def _build(self, work: Path) -> None:
        """Fetch and compile; `work` holds the programs alone when it ends well."""
        scratch = work / "scratch"
        scratch.mkdir()
        go = find_go(oldest_go((self.sources / "go.mod").read_text()), scratch)
        argv = [str(go), "build", "-C", str(self.sources), "-o", f"{work}/", *self.arguments]
        with step(f"{self.name}: building ({self.takes}, once)"):
            run_logged(argv, scratch / "build.log", error=BinariesError, env={**os.environ, **environment_of(scratch)})
        shutil.rmtree(scratch)


def environment_of(work: Path) -> dict[str, str]:
    """Keep modules and objects, gigabytes that nobody needs again, in a folder that goes away."""
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "objects"),
    }
