# SPDX-License-Identifier: Apache-2.0
"""Build programs from the Go module proxy, once, if Debian's packages of them are too old or missing."""

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

# Without the tables for a debugger, which no test needs, the compiler takes a third less time.
NO_DWARF = "-gcflags=all=-dwarf=false"


@dataclass(frozen=True)
class GoPrograms:
    """Programs that are built together from the same packages. The compiled packages are not kept."""

    name: str
    sources: Path
    """The folder of go.mod, go.sum and, if there are any, the sources of this project."""
    arguments: tuple[str, ...]
    """The arguments after `go build -o FOLDER`."""
    takes: str
    """The duration of the build, and the machine that it is for."""

    @property
    def key(self) -> str:
        """The hash of sources and arguments, so that no other edit leads to a new build."""
        files = [self.sources / "go.mod", self.sources / "go.sum", *sorted(self.sources.glob("*.go"))]
        parts = [file.read_bytes() for file in files]
        return digest([*parts, *(word.encode() for word in (*self.arguments, *environment_of(self.sources)))])

    @property
    def folder(self) -> Path:
        """The folder of the programs once they have been built."""
        return cache_dir() / self.name / self.key

    def ensure(self) -> Path:
        """Return the folder, and build the programs first if it is missing. BinariesError: they cannot be built."""
        target = self.folder
        with locked(target.with_name(f"{target.name}.lock")):
            if not target.exists():
                with publishing(target) as work:
                    self._build(work)
                say(f"{self.name}: {target}")
        return target

    def _build(self, work: Path) -> None:
        """Fetch and compile. After success, `work` has only the programs."""
        scratch = work / "scratch"
        scratch.mkdir()
        go = find_go(oldest_go((self.sources / "go.mod").read_text()), scratch)
        argv = [str(go), "build", "-C", str(self.sources), "-o", f"{work}/", *self.arguments]
        with step(f"{self.name}: building ({self.takes}, once)"):
            run_logged(argv, scratch / "build.log", error=BinariesError, env={**os.environ, **environment_of(scratch)})
        shutil.rmtree(scratch)


def environment_of(work: Path) -> dict[str, str]:
    """Return the variables of a build that keeps its gigabytes of modules and objects in a temporary folder."""
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "objects"),
    }
