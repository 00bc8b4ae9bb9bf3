# SPDX-License-Identifier: Apache-2.0
"""The Debian packages of the guest, with the current versions of its kernels."""

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
    # The build of the module and the BPF objects. The headers' objtool and pahole give modules their BTF.
    *("gcc", "libc6-dev", "make", "kmod", "dwarves", "clang", "llvm"),
    # bpftool and vmlinux.h are from trixie: newer ones from backports would hide a feature that a Debian 13 node lacks.
    *("libbpf-dev", "linux-bpf-dev", "bpftool"),
    # The build of a whole kernel, and the check of its patches.
    *("bc", "bison", "flex", "libelf-dev", "lld", "ccache", "perl"),
    # The kernel's own selftests need these in addition, because their runner signs programs.
    *("openssl", "libssl-dev"),
    # A node with a real kubelet needs these in addition to the programs that the tests build for it.
    *("runc", "containernetworking-plugins", "nftables", "conntrack", "ca-certificates", "mount"),
    # The loader, the agent and the tests run with these.
    *("python3", "python3-yaml", "python3-pytest", "python3-bpfcc", "bpfcc-tools"),
    # The shell of the initrd, and the programs with which tests inspect the node.
    *("busybox-static", "util-linux", "procps", "libcap2-bin", "iproute2", "strace"),
]


def kernel_packages(sources: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the versioned packages that the meta packages depend on, as `package/suite`.

    Installing the meta packages from backports instead would replace one kernel by the other.
    With the suite, apt takes the dependencies of a kernel (linux-base) from there as well, and nothing else.
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
    """Run an apt command and return its output."""
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ImageError(f"{' '.join(argv[2:])}: {result.stderr.strip()}")
    return result.stdout


def versioned_package(record: str) -> str:
    """Return the only versioned kernel package in the dependencies of a meta package."""
    match = re.search(r"^Depends:.*?\b(linux-(?:image|headers)-\d\S*?-cloud-amd64)\b", record, re.MULTILINE)
    if match is None:
        raise ImageError(f"no versioned kernel package in:\n{record}")
    return match[1]
