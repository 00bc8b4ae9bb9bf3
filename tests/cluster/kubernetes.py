# SPDX-License-Identifier: Apache-2.0
"""The programs of Kubernetes, most of which Debian does not package.

`OOMPOLICY_KUBERNETES` selects the oldest or the newest promised version in place of the usual one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.cluster.errors import BinariesError
from tests.cluster.gobuild import NO_DWARF, GoPrograms

SOURCES = Path(__file__).parent / "go"
OTHERS = {name: SOURCES.with_name(f"go-{name}") for name in ("oldest", "newest")}
VARIABLE = "OOMPOLICY_KUBERNETES"
COMMANDS = ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"]


def version(go_mod: str) -> str:
    """Read the version of Kubernetes that a go.mod names, as `v1.36.4`."""
    match = re.search(r"^(?:require |\t)k8s\.io/kubernetes (v\d\S*)", go_mod, re.MULTILINE)
    if match is None:
        raise BinariesError("go.mod requires no k8s.io/kubernetes")
    return match[1]


def build_arguments(version: str) -> list[str]:
    """Return the arguments of `go build`. Without the version, the programs would report v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])
    return ["-trimpath", NO_DWARF, "-ldflags", flags, *(f"k8s.io/kubernetes/cmd/{command}" for command in COMMANDS)]


def selected() -> Path:
    """Return the folder of go.mod of the selected version. BinariesError: the variable has another value."""
    name = os.environ.get(VARIABLE)
    if name and name not in OTHERS:
        raise BinariesError(f"{VARIABLE}={name} selects no Kubernetes: set it to {' or '.join(OTHERS)}, or unset it")
    return OTHERS[name] if name else SOURCES


def kubernetes(sources: Path | None = None) -> GoPrograms:
    """Return all programs of a cluster and its nodes, except for etcd and the container runtime."""
    sources = sources or selected()
    arguments = build_arguments(version((sources / "go.mod").read_text()))
    return GoPrograms("kubernetes", sources, tuple(arguments), "5 to 15 minutes on two cores")
