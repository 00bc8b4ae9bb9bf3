# SPDX-License-Identifier: Apache-2.0
"""An OCI registry on this machine, from Debian's package docker-registry."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from tests.cluster.debian import DebianProgram
from tests.cluster.ports import reserved_port
from tests.cluster.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGISTRY = DebianProgram("docker-registry", "docker-registry")
DEADLINE_SECONDS = 30


@contextmanager
def running_registry(program: Path, folder: Path) -> Iterator[str]:
    """Yield the address of an empty registry. It speaks HTTP."""
    with reserved_port() as port:
        address = f"127.0.0.1:{port}"
        config = folder / "config.yaml"
        storage = {"filesystem": {"rootdirectory": str(folder / "storage")}}
        config.write_text(yaml.safe_dump({"version": 0.1, "storage": storage, "http": {"addr": address}}))
        server = Server([str(program), "serve", str(config)], folder / "registry.log")
        server.start(lambda: answers(address), DEADLINE_SECONDS)
        try:
            yield address
        finally:
            server.kill()


def answers(address: str) -> bool:
    """Return whether the registry is ready."""
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False
