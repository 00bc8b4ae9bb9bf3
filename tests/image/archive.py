# SPDX-License-Identifier: Apache-2.0
"""Read the output of `docker save`: an image's description and its layers."""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Bytes: the size that a node fetches from a registry, and the size on the node's disk."""

    packed: int
    unpacked: int


class Archive:
    """One image in a tar."""

    def __init__(self, path: Path) -> None:
        self._path = path
        (self._manifest,) = json.loads(self._read("manifest.json"))

    @property
    def digest(self) -> str:
        """The digest of the image's manifest, which a registry would use as its name."""
        (manifest,) = json.loads(self._read("index.json"))["manifests"]
        return str(manifest["digest"])

    @property
    def tags(self) -> list[str]:
        """The image's names."""
        return list(self._manifest["RepoTags"])

    @property
    def config(self) -> Any:  # noqa: ANN401 - JSON
        """The OCI image configuration."""
        return json.loads(self._read(self._manifest["Config"]))

    @property
    def layers(self) -> list[str]:
        """The layers' digests, the lowest first."""
        return [name.rpartition("/")[2] for name in self._manifest["Layers"]]

    def size(self) -> Size:
        """Return the size of all layers."""
        packed = [self._read(name) for name in self._manifest["Layers"]]
        return Size(sum(map(len, packed)), sum(len(unpacked(layer)) for layer in packed))

    def members(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """Yield each entry of each layer, with a file's content."""
        for name in self._manifest["Layers"]:
            with tarfile.open(fileobj=BytesIO(unpacked(self._read(name)))) as layer:
                for member in layer:
                    content = layer.extractfile(member) if member.isfile() else None
                    yield member, content.read() if content else b""

    def _read(self, name: str) -> bytes:
        with tarfile.open(self._path) as tar:
            content = tar.extractfile(name)
            return content.read() if content else b""


def unpacked(layer: bytes) -> bytes:
    """Return a layer's tar, which may be compressed or not."""
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer
