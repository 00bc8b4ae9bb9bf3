# SPDX-License-Identifier: Apache-2.0
"""The agent's settings, and the command line that sets them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from oompolicy.order.facts import PORT
from oompolicy_agent.plumbing.paths import ADJUSTER_DIR, BPFFS, CGROUP_ROOT, CHECKPOINT, RUN_DIR, STATE_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oompolicy.logs import LogFormat

Format = Literal["yaml", "json"]
STDOUT: Final = "-"


_GRACE: Final = "seconds to wait for the Pod object before a victim is reported without its name; default 5"
_FOLDER_ONLY: Final = ("output", "output_format")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """The limits of Events to the API server. Above them, kills are counted in the series of an Event, or wait."""

    node_burst: int = 100  # Events at once; kubelet's default for its own (eventBurst)
    node_rate: float = 10.0  # Events per second; a fifth of kubelet's (eventRecordQPS): 5,000 nodes may have a bad day
    pod_burst: int = 25  # Events at once; as client-go's spam filter (tools/record/events_cache.go)
    pod_rate: float = 1 / 300  # Events per second; the same
    refused_burst: int = 5  # Events at once of namespaces that refuse them: these have no part in the node's
    refused_rate: float = 1.0  # Events per second; the same
    refusal_burst: int = 50  # Events of refused annotations at once: a bad policy change has about one per pod
    refusal_rate: float = 1.0  # Events per second; nobody dies of a wrong annotation
    series_idle: float = 360.0  # seconds after which a kill is news again; as client-go (tools/events)
    series_every: float = 10.0  # seconds between two updates of one series
    # Events handed to the connection at once. A crash may forget that these arrived, and buckets are full after it:
    # below each burst they are posted again, under their names, and not counted a second time.
    under_way: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the agent. A field with a flag has the flag's name. Fields without a flag are in seconds.

    Exactly one of `manifests`, `kubeconfig` and `in_cluster` is given.
    """

    node: str
    manifests: Path | None = None
    kubeconfig: Path | None = None
    in_cluster: bool = False
    impersonate_node: bool = False
    output: str = STDOUT
    output_format: Format = "yaml"
    log_format: LogFormat = "text"
    state_dir: Path = STATE_DIR
    run_dir: Path = RUN_DIR
    bpffs: Path = BPFFS
    cgroup_root: Path = CGROUP_ROOT
    scores: bool = False
    kernel_log: bool = False
    adjuster_dir: Path = ADJUSTER_DIR
    listen: tuple[str, int] | None = None
    serve_order: bool = False
    naming_grace: float = 5.0  # kubelet reports a container's id about a second after its start
    event_limits: EventLimits = field(default_factory=EventLimits)

    adjuster_poll: float = 2.0  # only root may list the adjuster's folder, so inotify cannot report a new report
    kills_poll: float = 0.25  # as above. It costs one stat(), and only where no program can observe
    full_check: float = 30.0  # a lost announcement costs a pod its own priority for no longer than this
    tick: float = 1.0  # between two tries to open pins that do not exist yet: inotify reports nothing on bpffs
    scan_gap: float = 0.02  # between two scans while many pods start. A scan takes a few milliseconds
    # After the last container of a pod ended. The kubelet checks every second, and then has to write the status.
    strays_after: float = 5.0
    unapplied_after: float = 25.0  # the adjuster reads the values of memory.oom.group again after 20 s at most
    settle: float = 0.05  # a change of several manifests is read once
    api_settle: float = 0.01  # objects arrive one by one, and each is complete, so this is enough for many
    outage_after: float = 30.0  # without a reply from the API server, whose restart takes a few seconds
    checkpoint_delay: float = 1.0  # changes that a crash loses come again from the objects and the cgroup names
    status_delay: float = 0.1
    status_first: float = 10.0  # an agent that starts is about to be ready: one write to OOMNode instead of two
    status_every: float = 300.0  # at most, between two writes of OOMNode. The operator waits for two of them
    retry_max: float = 60.0  # at most, between tries of an output that fails. The delay begins at one second
    # At most, between tries of an Event that a namespace rejects. The first delays are short, because an API server
    # that has just started knows no roles yet and refuses everything.
    retry_refused: float = 600.0

    @property
    def spool(self) -> Path:
        """The folder with one file per victim that is not yet reported."""
        return self.state_dir / "spool"

    @property
    def taken_kills(self) -> Path:
        """The file with the number of the last kill that was taken from the kernel's log."""
        return self.state_dir / "kernel-log.json"

    @property
    def checkpoint(self) -> Path:
        """The file with the state that the next start needs before the API server answers."""
        return self.state_dir / CHECKPOINT

    @property
    def series(self) -> Path:
        """The file that assigns kills to the series of Events."""
        return self.state_dir / "series.json"


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Parse the command line. Exit with status 2 if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="oompolicy-agent",
        description="Keep this node's priorities in the kernel, and report the OOM killer's victims.",
        argument_default=argparse.SUPPRESS,
    )
    _add_source(parser)
    for flag, text in (
        ("--state-dir", f"checkpoint, spool and lock; default {STATE_DIR}"),
        ("--run-dir", f"loader.json and status.json; default {RUN_DIR}"),
        ("--bpffs", f"where the loader pinned maps and links; default {BPFFS}"),
        ("--cgroup-root", f"a cgroup v2 mount; default {CGROUP_ROOT}"),
        ("--adjuster-dir", f"where the adjuster reports; default {ADJUSTER_DIR}"),
    ):
        parser.add_argument(flag, type=Path, metavar="DIR", help=text)
    parser.add_argument(
        "--scores", action="store_true", help="on a node without the hook, ask the adjuster for scores in its place"
    )
    parser.add_argument(
        "--kernel-log",
        action="store_true",
        help="on a node where no program can observe, ask the adjuster for the victims in the kernel's log",
    )
    parser.add_argument("--node", metavar="NAME", help="this node's name; default $NODE_NAME")
    parser.add_argument("--output", metavar="FILE|-", help="where Events are appended; default - (standard output)")
    parser.add_argument("--output-format", choices=["yaml", "json"], help="documents (default) or lines")
    parser.add_argument("--listen", type=_address, metavar="HOST:PORT", help="serve /readyz, /livez and /metrics")
    parser.add_argument(
        "--serve-order",
        action="store_true",
        help=f"serve who dies next on 127.0.0.1:{PORT}. Only in a pod: every user of the host could read it",
    )
    parser.add_argument(
        "--log-format",
        choices=["text", "json"],
        help="text (default), or json: one object per line, with the parts of each victim as keys",
    )
    parser.add_argument("--naming-grace", type=float, metavar="SECONDS", help=_GRACE)
    given = {"node": os.environ.get("NODE_NAME", ""), **vars(parser.parse_args(arguments))}
    if not given["node"]:
        parser.error("--node or $NODE_NAME is required")
    if misplaced := _misplaced(given):
        parser.error(misplaced)
    return Settings(**given)


def _add_source(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument(
        "--manifests", type=Path, metavar="DIR", help="OOMPolicy, Namespace and Pod manifests; changes are followed"
    )
    sources.add_argument("--kubeconfig", type=Path, metavar="FILE", help="ask the API server that it names")
    sources.add_argument("--in-cluster", action="store_true", help="ask the API server of the cluster we run in")
    parser.add_argument(
        "--impersonate-node", action="store_true", help="read pods as this node (Kubernetes >= 1.36), not as ourselves"
    )


def _misplaced(given: Mapping[str, object]) -> str:
    """Return a sentence if a flag has no effect together with the others, else an empty string."""
    if "manifests" in given:
        return "--impersonate-node is for the API server, not for --manifests" if "impersonate_node" in given else ""
    flags = [f"--{name.replace('_', '-')}" for name in _FOLDER_ONLY if name in given]
    return f"{' and '.join(flags)}: with an API server, Events go there" if flags else ""


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
