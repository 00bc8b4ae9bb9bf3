# SPDX-License-Identifier: Apache-2.0
"""The loader's settings, and the command line that sets them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy.oomsettings import Mode
from oompolicy_agent.plumbing.paths import AGENT_UID, BPFFS, CGROUP_ROOT, CHECKPOINT, LOADER_REPORT, RUN_DIR, STATE_DIR

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERBS: Final = {
    "build": "compile the hook's module for the running kernel. Needs no privilege",
    "attach": "load the module and the BPF program, pin them, fill the maps, and give the maps to the agent's user. "
    "Replaces an earlier version",
    "detach": "remove programs, maps and module from the node",
    "status": "print the last report, and what is attached",
    "preflight": "print what this node can do, and why. Changes nothing, and needs no privilege. The exit status is 0 "
    "for every answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one run. Each field has the name of its flag."""

    verb: str
    module: Path | None = None
    headers: Path
    source: Path = Path("/opt/oompolicy/module")
    object_dir: Path = Path(__file__).parent.parent / "bpf"
    uid: int = AGENT_UID
    gid: int = AGENT_UID
    mode: Mode = Mode.ENFORCE
    proof: bool = True
    cgroup_namespace: Path | None = None
    state_dir: Path = STATE_DIR
    run_dir: Path = RUN_DIR
    checkpoint: Path
    report: Path
    bpffs: Path = BPFFS
    cgroup_root: Path = CGROUP_ROOT
    root: Path = Path("/")
    load: bool = True
    adjuster: bool = True
    kernel_log: bool = False
    output: str = "table"


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Parse the command line. Exit with status 2 if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="oompolicy-loader", description="Attach oompolicy to this node's kernel, or remove it."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in _VERBS.items():
        _add_flags(verbs.add_parser(verb, help=text, description=text, argument_default=argparse.SUPPRESS), verb)
    given = vars(parser.parse_args(arguments))
    given.setdefault("checkpoint", given.get("state_dir", STATE_DIR) / CHECKPOINT)
    given.setdefault("report", given.get("run_dir", RUN_DIR) / LOADER_REPORT)
    given.setdefault("headers", given.get("root", Path("/")) / for_this_kernel("lib/modules/%r/build"))
    return Settings(**given)


def for_this_kernel(text: str) -> Path:
    """Replace `%r` by the release of the running kernel, so that one setting fits nodes with several kernels."""
    return Path(text.replace("%r", os.uname().release))


def _add_flags(parser: argparse.ArgumentParser, verb: str) -> None:
    if verb == "build":
        _add_build_flags(parser)
        return
    if verb == "preflight":
        _add_preflight_flags(parser)
        return
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help=f"folder of the report; default {RUN_DIR}")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help=f"file of the loader's report; default RUN_DIR/{LOADER_REPORT}"
    )
    parser.add_argument("--bpffs", type=Path, metavar="DIR", help=f"folder of pins; default {BPFFS}")
    if verb == "attach":
        _add_attach_flags(parser)


def _add_attach_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cgroup-root", type=Path, metavar="DIR", help=f"root of the cgroup v2 tree; default {CGROUP_ROOT}"
    )
    parser.add_argument(
        "--module",
        type=for_this_kernel,
        metavar="FILE.ko",
        help="module to load if the kernel has no hook; %%r stands for the kernel release, uname -r",
    )
    parser.add_argument(
        "--object-dir", type=Path, metavar="DIR", help="folder of the BPF objects; default the folder in this package"
    )
    parser.add_argument("--uid", type=_id, help=f"user of the agent; default {AGENT_UID}")
    parser.add_argument("--gid", type=_id, help=f"group of the agent; default {AGENT_UID}")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help=f"state folder of the agent; default {STATE_DIR}")
    parser.add_argument(
        "--mode",
        type=Mode,
        choices=list(Mode),
        metavar="|".join(Mode),
        help=f"mode until the agent sets it, if no agent has set one before; default {Mode.ENFORCE}",
    )
    parser.add_argument(
        "--no-proof",
        dest="proof",
        action="store_false",
        help="make no OOM of the loader's own. Without this flag the first attach of a boot or a version makes two, to "
        "prove that this kernel kills the process with the lowest priority",
    )
    parser.add_argument(
        "--cgroup-namespace",
        type=Path,
        metavar="FILE",
        help="cgroup namespace to enter for the proof, for a loader in a container: the file cgroup of the host's "
        "/proc/1/ns",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help=f"checkpoint of the agent; default STATE_DIR/{CHECKPOINT}"
    )


def _add_build_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--module",
        type=for_this_kernel,
        metavar="FILE.ko",
        required=True,
        help="file to write; %%r stands for the kernel release, uname -r",
    )
    parser.add_argument(
        "--headers",
        type=for_this_kernel,
        metavar="DIR",
        help="headers of the kernel; default /lib/modules/%%r/build, where %%r is the kernel release, uname -r",
    )
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="source of the module; default /opt/oompolicy/module"
    )


def _add_preflight_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), metavar="table|json", help="format of the output; default table"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="folder in which the node's root is mounted, in a container; default /"
    )
    module = parser.add_mutually_exclusive_group()
    module.add_argument(
        "--module",
        type=for_this_kernel,
        metavar="FILE.ko",
        help="module that attach would load; %%r stands for the kernel release, uname -r. Default: build one",
    )
    module.add_argument(
        "--no-module", dest="load", action="store_false", help="answer for an installation that loads no module"
    )
    parser.add_argument(
        "--headers",
        type=for_this_kernel,
        metavar="DIR",
        help="headers of the kernel; default ROOT/lib/modules/%%r/build, where %%r is the kernel release, uname -r",
    )
    parser.add_argument(
        "--no-adjuster",
        dest="adjuster",
        action="store_false",
        help="answer for an installation in which no adjuster writes scores",
    )
    parser.add_argument(
        "--kernel-log",
        action="store_true",
        help="answer for an installation in which the adjuster may read the kernel's log",
    )


def _id(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32 - 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a user or group id: use a number below {2**32 - 1}")
    return int(text)
