# SPDX-License-Identifier: Apache-2.0
"""Find kube-apiserver, kubectl and etcd, or make them: `python3 -m tests.cluster.binaries`.

`KUBEBUILDER_ASSETS` names a folder that has all three, as for envtest.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import BinariesError
from tests.cluster.etcd import ETCD
from tests.cluster.kubernetes import kubernetes
from vmtest.errors import HarnessError
from vmtest.progress import say


@dataclass(frozen=True)
class Binaries:
    """The programs of a cluster."""

    apiserver: Path
    kubectl: Path
    etcd: Path


def ensure_binaries() -> Binaries:
    """Return the programs, and make them first if they are missing. BinariesError: they cannot be made."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return from_assets(Path(assets))
    # etcd takes seconds and Kubernetes minutes, so a problem of this machine is found early.
    etcd = ETCD.ensure()
    return from_cache(kubernetes().ensure(), etcd)


def cached_binaries() -> Binaries | None:
    """Return the programs if they exist. BinariesError: KUBEBUILDER_ASSETS names a folder without them."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return from_assets(Path(assets))
    programs, etcd = kubernetes().folder, ETCD.folder
    return from_cache(programs, etcd / "etcd") if programs.exists() and etcd.exists() else None


def from_cache(programs: Path, etcd: Path) -> Binaries:
    """Return the programs of Kubernetes in the folder that they were made in, and etcd."""
    return Binaries(programs / "kube-apiserver", programs / "kubectl", etcd)


def from_assets(assets: Path) -> Binaries:
    """Return the programs of one folder. BinariesError: one is missing."""
    found = Binaries(assets / "kube-apiserver", assets / "kubectl", assets / "etcd")
    missing = [path.name for path in (found.apiserver, found.kubectl, found.etcd) if not os.access(path, os.X_OK)]
    if missing:
        raise BinariesError(f"KUBEBUILDER_ASSETS={assets} has no {', no '.join(missing)}")
    return found


def main() -> int:
    """Make the missing programs, and print the paths of all."""
    try:
        found = ensure_binaries()
    except HarnessError as error:
        say(str(error))
        return 1
    print(found.apiserver, found.kubectl, found.etcd, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
