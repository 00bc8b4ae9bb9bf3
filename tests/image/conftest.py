# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the image tests.

images           both images, built or found: `tar(name)`
archive          `archive(name)` reads one image: `config`, `layers`, `size()`, `members()`
docker           a `Docker` that has loaded both. `/mnt/tests` in it is `shared`, `/mnt/guest` the guest's root
shared           a folder of this machine that containers may mount
run              `run(name, *command)` as in a pod: read-only and without capabilities or network

The cluster is the one of `tests/cluster`. The names are `oompolicy` and `oompolicy-loader`.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.cluster.conftest import (  # noqa: F401 - fixtures
    api,
    binaries,
    cluster,
    deployment,
    session_cluster,
    session_deployment,
)
from tests.image.build import NAMES, Images, ensure_images
from tests.image.docker import Docker, running_docker
from vmtest.cache import CHECKOUT
from vmtest.errors import HarnessError
from vmtest.image import ensure_image

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.image.archive import Archive


class Run(Protocol):
    """A function that runs a container to its end. `options` are Docker's."""

    def __call__(
        self, name: str, *command: str, options: tuple[str, ...] = ...
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def version() -> str:
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


@pytest.fixture(scope="session")
def images() -> Images:
    """Return the images. A developer's machine may lack the tools for the build, but CI may not."""
    try:
        return ensure_images()
    except HarnessError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no images to test: {error}")


@pytest.fixture(scope="session")
def archive(images: Images) -> Callable[[str], Archive]:
    return images.archive


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def docker(images: Images, shared: Path) -> Iterator[Docker]:
    with running_docker({"images": images.folder, "tests": shared, "guest": ensure_image().root}) as running:
        for name in NAMES:
            running("load", "--input", f"/mnt/images/{name}.tar")
        yield running


@pytest.fixture(scope="session")
def run(docker: Docker, version: str) -> Run:
    def run(
        name: str, *command: str, options: tuple[str, ...] = ("--network=none",)
    ) -> subprocess.CompletedProcess[str]:
        pod = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", *options)
        return docker.run(*pod, f"--entrypoint={command[0]}", f"{name}:{version}", *command[1:])

    return run
