# SPDX-License-Identifier: Apache-2.0
"""The agent's settings, and the command line that sets them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy.model import Defaults
from oompolicy_agent.output import STDOUT, Format

if TYPE_CHECKING:
    from collections.abc import Sequence

MODE: Final = "Enforce"

_GRACE: Final = "how long a report waits for the object of a pod or container not known yet; default 5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the flag of its name; those without a flag are seconds, and for tests to change."""

    manifests: Path
    node: str
    output: str = STDOUT
    output_format: Format = "yaml"
    state_dir: Path = Path("/var/lib/oompolicy")
    run_dir: Path = Path("/run/oompolicy")
    bpffs: Path = Path("/sys/fs/bpf/oompolicy")
    cgroup_root: Path = Path("/sys/fs/cgroup")
    listen: tuple[str, int] | None = None
    naming_grace: float = 5.0  # kubelet reports a container's id about a second after its start
    defaults: Defaults = field(default_factory=Defaults)

    full_check: float = 30.0  # a lost announcement costs a pod its own priority for no longer than this
    tick: float = 1.0  # between looks for pins that are not there yet: inotify says nothing on bpffs
    scan_gap: float = 0.02  # between two scans in a rush of pods; one takes a few milliseconds
    settle: float = 0.05  # a change of several manifests is read once
    checkpoint_delay: float = 1.0  # new cgroups: what a crash loses, the kernel's names and the pods still tell
    status_delay: float = 0.1
    retry_max: float = 60.0  # between tries of an output that fails; they begin at one second

    @property
    def spool(self) -> Path:
        """One file per victim not yet reported."""
        return self.state_dir / "spool"

    @property
    def checkpoint(self) -> Path:
        """What the next start knows without asking anyone."""
        return self.state_dir / "checkpoint.json"


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """From the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="oompolicy-agent",
        description="Keep this node's priorities in the kernel, and report the OOM killer's victims.",
        argument_default=argparse.SUPPRESS,
    )
    for flag, text in (
        ("--manifests", "OOMPolicy, Namespace and Pod manifests; changes are followed"),
        ("--state-dir", "checkpoint, spool and lock; default /var/lib/oompolicy"),
        ("--run-dir", "loader.json and status.json; default /run/oompolicy"),
        ("--bpffs", "where the loader pinned maps and links; default /sys/fs/bpf/oompolicy"),
        ("--cgroup-root", "a cgroup v2 mount; default /sys/fs/cgroup"),
    ):
        parser.add_argument(flag, type=Path, metavar="DIR", required=flag == "--manifests", help=text)
    parser.add_argument("--node", metavar="NAME", help="this node's name; default $NODE_NAME")
    parser.add_argument("--output", metavar="FILE|-", help="where Events are appended; default - (standard output)")
    parser.add_argument("--output-format", choices=["yaml", "json"], help="documents (default) or lines")
    parser.add_argument("--listen", type=_address, metavar="HOST:PORT", help="serve /readyz and /livez")
    parser.add_argument("--naming-grace", type=float, metavar="SECONDS", help=_GRACE)
    given = {"node": os.environ.get("NODE_NAME", ""), **vars(parser.parse_args(arguments))}
    if not given["node"]:
        parser.error("--node or $NODE_NAME is required")
    return Settings(**given)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
