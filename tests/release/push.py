# SPDX-License-Identifier: Apache-2.0
"""Push an image from an archive in OCI format, byte for byte: `python3 -m tests.release.push ARCHIVE TAG`.

The registry speaks HTTP. `docker push` would push the tag with another digest than that of the build.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Mapping


def push(archive: Path, tag: str) -> None:
    """Push config and layers, and then the manifest, which the registry accepts only after them."""
    registry, _, rest = tag.partition("/")
    name, _, version = rest.rpartition(":")
    repository = f"http://{registry}/v2/{name}"
    with tarfile.open(archive) as opened:
        (described,) = json.loads(member(opened, "index.json"))["manifests"]
        manifest = blob(opened, described)
        parts = json.loads(manifest)
        for each in (parts["config"], *parts["layers"]):
            begun = request("POST", f"{repository}/blobs/uploads/")
            place = f"{begun.headers['Location']}&digest={each['digest']}"
            request("PUT", place, blob(opened, each), "application/octet-stream")
    request("PUT", f"{repository}/manifests/{version}", manifest, described["mediaType"])


def request(method: str, url: str, body: bytes = b"", kind: str = "text/plain") -> urllib3.BaseHTTPResponse:
    """Send a request. SystemExit if the registry refuses it."""
    answer = urllib3.request(method, url, body=body, headers={"Content-Type": kind}, timeout=120.0)
    if answer.status >= 300:
        raise SystemExit(f"{method} {url}: {answer.status}: {answer.data.decode()}")
    return answer


def blob(opened: tarfile.TarFile, descriptor: Mapping[str, Any]) -> bytes:
    return member(opened, f"blobs/{descriptor['digest'].replace(':', '/')}")


def member(opened: tarfile.TarFile, name: str) -> bytes:
    content = opened.extractfile(name)
    assert content
    return content.read()


if __name__ == "__main__":
    push(Path(sys.argv[1]), sys.argv[2])
