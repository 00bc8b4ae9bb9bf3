# SPDX-License-Identifier: Apache-2.0
"""What the guest holds, and which kernel packages that is today."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

RELEASE = "trixie"
SUITES = ["trixie", "trixie-updates", "trixie-backports"]
KERNELS = ["trixie", "trixie-backports"]
KERNEL_METAS = ["linux-image-cloud-amd64", "linux-headers-cloud-amd64"]

PACKAGES = [
    # What the module and the BPF objects are built with. The headers' objtool and pahole give modules their BTF.
    *("gcc", "libc6-dev", "make", "kmod", "dwarves", "clang", "llvm"),
    # bpftool and vmlinux.h stay trixie's: backports' newer ones would hide what a Debian 13 node lacks.
    *("libbpf-dev", "linux-bpf-dev", "bpftool"),
    # What a whole kernel is built with, and its patches are checked with.
    *("bc", "bison", "flex", "libelf-dev", "lld", "ccache", "perl"),
    # What the kernel's own selftests take on top of that: their runner signs programs.
    *("openssl", "libssl-dev"),
    # What a node with a real kubelet needs beside the programs that are built for it.
    *("runc", "containernetworking-plugins", "nftables", "conntrack", "ca-certificates", "mount"),
    # What loader, agent and tests run with.
    *("python3", "python3-yaml", "python3-pytest", "python3-bpfcc", "bpfcc-tools"),
    # The initrd's shell, and what tests look at the node with.
    *("busybox-static", "util-linux", "procps", "libcap2-bin", "iproute2", "strace"),
]


def kernel_packages(sources: Sequence[str], options: Sequence[str]) -> list[str]:
    """Name the versioned packages behind the meta packages, as `package/suite`.

    Installing the meta packages from backports instead would put one kernel in place of the other.
    The suite lets apt take what a kernel depends on (linux-base) from there as well, and nothing else.
    """
    with tempfile.TemporaryDirectory(prefix="oompolicy-apt-") as name:
        apt = ["env", f"APT_CONFIG={write_apt_config(Path(name), sources, options)}"]
        query(*apt, "apt-get", "update", "-qq", "--error-on=any")
        show = [*apt, "apt-cache", "--no-all-versions", "show"]
        return [
            f"{versioned_package(query(*show, f'--target-release={suite}', meta))}/{suite}"
            for suite in KERNELS
            for meta in KERNEL_METAS
        ]


def write_apt_config(folder: Path, sources: Sequence[str], options: Sequence[str]) -> Path:
    """Give apt a state of its own, so that the machine's package lists stay as they are."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text("\n".join(sources) + "\n")
    config = folder / "apt.conf"
    own = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    config.write_text("\n".join([*options, *(f'{name} "{value}";' for name, value in own.items())]) + "\n")
    return config


def query(*argv: str) -> str:
    """Return what an apt command prints."""
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ImageError(f"{' '.join(argv[2:])}: {result.stderr.strip()}")
    return result.stdout


def versioned_package(record: str) -> str:
    """Take the one versioned kernel package out of a meta package's dependencies."""
    match = re.search(r"^Depends:.*?\b(linux-(?:image|headers)-\d\S*?-cloud-amd64)\b", record, re.MULTILINE)
    if match is None:
        raise ImageError(f"no versioned kernel package in:\n{record}")
    return match[1]
