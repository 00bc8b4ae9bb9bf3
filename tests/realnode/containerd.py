# SPDX-License-Identifier: Apache-2.0
"""The container runtime of a real node. Debian 13 has containerd 1.7, which a kubelet of 1.36 does not support."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cluster.errors import BinariesError
from tests.cluster.gobuild import NO_DWARF, GoPrograms

SOURCES = Path(__file__).parent / "go"
MODULE = "github.com/containerd/containerd/v2"
COMMANDS = ["containerd", "containerd-shim-runc-v2", "ctr"]
# These parts have no use in a guest, and need C or time to build.
TAGS = "no_btrfs,no_devmapper,no_zfs,no_blockfile,no_dynamic_plugins,no_systemd"


def version(go_mod: str) -> str:
    """Read the version of containerd that a go.mod names, as `v2.2.9`."""
    match = re.search(rf"^\t{MODULE} (v\d\S*)", go_mod, re.MULTILINE)
    if match is None:
        raise BinariesError(f"go.mod requires no {MODULE}")
    return match[1]


def containerd(sources: Path = SOURCES) -> GoPrograms:
    """Return the daemon, its shim, and its command line, which imports our images."""
    flags = f"-s -w -X {MODULE}/version.Version={version((sources / 'go.mod').read_text())}"
    packages = [f"{MODULE}/cmd/{command}" for command in COMMANDS]
    arguments = ("-trimpath", NO_DWARF, "-tags", TAGS, "-ldflags", flags, *packages)
    return GoPrograms("containerd", sources, arguments, "3 to 10 minutes on two cores")
