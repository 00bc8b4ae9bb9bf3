# SPDX-License-Identifier: Apache-2.0
"""Build kube-apiserver and kubectl from the Go module proxy, once: nobody packages the first, and few the second."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.cluster.errors import BinariesError
from tests.cluster.golang import find_go, oldest_go
from tests.vm.cache import cache_dir, digest, locked, publishing
from tests.vm.progress import run_logged, say, step

SOURCES = Path(__file__).parent / "go"
COMMANDS = ["kube-apiserver", "kubectl"]


def version(go_mod: str) -> str:
    """Read the version of Kubernetes that a go.mod names, as `v1.36.4`."""
    match = re.search(r"^(?:require |\t)k8s\.io/kubernetes (v\d\S*)", go_mod, re.MULTILINE)
    if match is None:
        raise BinariesError("go.mod requires no k8s.io/kubernetes")
    return match[1]


def build_arguments(version: str) -> list[str]:
    """Write what follows `go build`; without a version the programs would call themselves v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])
    return ["-trimpath", "-ldflags", flags, *(f"k8s.io/kubernetes/cmd/{command}" for command in COMMANDS)]


def build_environment(work: Path) -> dict[str, str]:
    """Keep modules and objects, gigabytes that nobody needs again, in a folder that goes away."""
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "objects"),
    }


def kubernetes_key(sources: Path = SOURCES) -> str:
    """Hash what is built and how, so that an edit elsewhere does not cost a build."""
    go_mod, go_sum = (sources / "go.mod").read_bytes(), (sources / "go.sum").read_bytes()
    recipe = [*build_arguments(version(go_mod.decode())), *build_environment(Path())]
    return digest([go_mod, go_sum, *(word.encode() for word in recipe)])


def kubernetes_folder() -> Path:
    """Say where both programs are once they have been built."""
    return cache_dir() / "kubernetes" / kubernetes_key()


def ensure_kubernetes() -> Path:
    """Return the directory of both programs, built now if they are not there."""
    target = kubernetes_folder()
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with publishing(target) as work:
                build(work)
            say(f"kubernetes: {target}")
    return target


def build(work: Path) -> None:
    """Fetch and compile; `work` holds the two programs alone when it ends well."""
    go_mod = (SOURCES / "go.mod").read_text()
    scratch = work / "scratch"
    scratch.mkdir()
    go = find_go(oldest_go(go_mod), scratch)
    argv = [str(go), "build", "-C", str(SOURCES), "-o", f"{work}/", *build_arguments(version(go_mod))]
    with step(f"kubernetes: building {version(go_mod)} (10 to 25 minutes on two cores, once)"):
        run_logged(argv, scratch / "build.log", error=BinariesError, env={**os.environ, **build_environment(scratch)})
    shutil.rmtree(scratch)
