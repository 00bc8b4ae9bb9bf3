# SPDX-License-Identifier: Apache-2.0
"""Run the targets of the release workflow in a clone, and keep registry and files until the block ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publish import steps
from tests.cluster.chart.helm import ensure_helm
from tests.cluster.chart.registry import REGISTRY, running_registry
from tests.image import base, outside
from tests.image.build import EPOCH, LOCK
from tests.image.docker import running_docker
from tests.image.errors import DockerError
from tests.release import programs
from tests.release.clone import Clone, make_ready
from tests.release.cosign import COSIGN
from vmtest.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.image.docker import Docker

TARGETS: Final = ("release-images", "dist", "release-chart", "release-sign")
"""The targets of the job `push`, in its order."""


@dataclass(frozen=True)
class DryRun:
    """A finished release: its clone, its programs, and the registry."""

    clone: Clone
    registry: str
    """Host and port."""
    helm: Path
    cosign: Path
    keys: Path
    """The folder of the keys."""

    @property
    def digests(self) -> dict[str, str]:
        """The digests of everything that was pushed."""
        return steps.read_digests(self.clone.dist)

    def reference(self, name: str) -> str:
        """Return the address of a pushed thing by its digest."""
        return f"{self.clone.project.registry}/{name}@{self.digests[name]}"


@contextlib.contextmanager
def dry_run() -> Iterator[DryRun]:
    """Release the commit to a registry on this machine."""
    cosign, layout = COSIGN.ensure() / "cosign", base.ensure_base(LOCK.read_bytes(), int(EPOCH.read_text()))
    # The engine has the folder at the same path, and its own /tmp is empty.
    with tempfile.TemporaryDirectory(prefix="oompolicy-release-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        work = Path(name)
        own, keys, secrets = (work / each for each in ("programs", "keys", "secrets"))
        for folder in (own, keys):
            folder.mkdir()
        write_secrets(secrets)
        registry = stack.enter_context(running_registry(REGISTRY.ensure(), work))
        helm = programs.write_helm(own, ensure_helm())
        environment = {
            "PATH": f"{own}:{os.environ['PATH']}",
            "PYTHONPATH": "operator:agent:.",  # the programs of the clone, and not those of the virtual environment
            "OOMPOLICY_HELM": str(helm),
            "COSIGN_PASSWORD": "",
        }
        clone = make_ready(work / "clone", f"{registry}/oompolicy", environment)
        make_key(clone, cosign, keys, "cosign")
        programs.write_cosign(own, cosign, keys / "cosign.key")
        # Only one engine can run, and the tests of a node may need it for a build.
        with running_docker({name: work, "base": layout}) as docker:
            push_base(docker, registry)
            programs.write_docker(own, docker.argv(), registry, build_options(secrets))
            with step("release: check"):
                clone.make("release-check", f"TAG={clone.project.tag}")
            for target in TARGETS:
                with step(f"release: {target}"):
                    clone.make(target)
        yield DryRun(clone, registry, helm, cosign, keys)


def write_secrets(folder: Path) -> None:
    """Write the settings of this machine that a build needs."""
    folder.mkdir(mode=0o700)
    for name, text in outside.secrets().items():
        (folder / name).write_text(text)


def build_options(secrets: Path) -> list[str]:
    """Return the options of a build on this machine."""
    files = sorted(secrets.iterdir())
    return ["--network=host", *outside.proxies(os.environ), *(f"--secret=id={each.name},src={each}" for each in files)]


def push_base(docker: Docker, registry: str) -> None:
    """Push the base of the images, as Docker Hub has it."""
    output = f"--output=type=image,name={registry}/{base.NAME},push=true"
    context = f"--build-context={base.NAME}=oci-layout:///mnt/base:latest"
    argv = docker.argv("docker", "buildx", "build", "--provenance=false", context, output, "-")
    done = subprocess.run(argv, input=f"FROM {base.NAME}\n", capture_output=True, text=True, check=False)
    if done.returncode:
        raise DockerError(f"the push of {base.NAME} failed:\n{done.stderr}")


def make_key(clone: Clone, cosign: Path, folder: Path, name: str) -> None:
    """Write NAME.key and NAME.pub."""
    clone.run(str(cosign), "generate-key-pair", f"--output-key-prefix={folder}/{name}")
