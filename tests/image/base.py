# SPDX-License-Identifier: Apache-2.0
"""Make the base image that the Dockerfile names, as Debian's archive has it today, for want of a registry to ask.

It is an OCI layout, which BuildKit takes in place of the name (`--build-context NAME=oci-layout://...`).
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.image.errors import DockerError
from vmtest import mirror
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "debian:trixie-slim"
SUITES = ["trixie", "trixie-updates"]
# As Debian's own slim images do.
EXCLUDED = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*"]
KEPT = ["/usr/share/doc/*/copyright"]
# What mmdebstrap writes of the machine.
OURS = ["etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap", "etc/resolv.conf", "etc/hostname"]
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def ensure_base(lock: bytes, epoch: int) -> Path:
    """Return the layout's folder, made now if it is not there; a new lock asks for a new one."""
    target = cache_dir() / "base" / digest([lock, str(epoch).encode(), Path(__file__).read_bytes()])
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step(f"base: {NAME} from Debian's archive (a minute)"), publishing(target) as work:
                make(work, epoch)
            say(f"base: {target}")
    return target


def make(work: Path, epoch: int) -> None:
    """Install the packages, and describe the tar as an image."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines, layer = mirror.source_lines(source, SUITES), work / "layer.tar"
    argv = mmdebstrap(layer, lines, mirror.transport_options())
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "DEBIAN_FRONTEND": "noninteractive"}
    run_logged(argv, work / "log", error=DockerError, env=env)
    (work / "log").unlink()
    write_layout(work, layer, datetime.fromtimestamp(epoch, UTC))


def mmdebstrap(target: Path, lines: Sequence[str], options: Sequence[str]) -> list[str]:
    """Write the command."""
    words = [*(f"path-exclude={path}" for path in EXCLUDED), *(f"path-include={path}" for path in KEPT)]
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--architectures=amd64"),
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt={word}" for word in words),
        f'--customize-hook=cd "$1" && rm -f {" ".join(OURS)}',
        *("trixie", str(target), *lines),
    ]


def write_layout(folder: Path, layer: Path, created: datetime) -> None:
    """Turn a tar into an OCI layout of one image called `latest`. The tar becomes part of it."""
    (folder / "blobs/sha256").mkdir(parents=True)
    with layer.open("rb") as content:
        name = hashlib.file_digest(content, "sha256").hexdigest()
    size = layer.stat().st_size
    layer.rename(folder / "blobs/sha256" / name)
    config = put(folder, CONFIG, image_config(f"sha256:{name}", created))
    layers = [{"mediaType": LAYER, "digest": f"sha256:{name}", "size": size}]
    manifest = put(folder, MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def image_config(layer: str, created: datetime) -> dict[str, Any]:
    """Say what Debian's own says."""
    when = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": when,
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": when, "created_by": "mmdebstrap --variant=minbase trixie"}],
    }


def put(folder: Path, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write a blob, and return its descriptor."""
    data = json.dumps(content, sort_keys=True).encode()
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs/sha256" / name).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}
