# SPDX-License-Identifier: Apache-2.0
"""The loader's settings, and the command line that sets them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import HOST_PRIORITY, PRIORITY_MAX
from oompolicy_agent.settings import AGENT_UID

if TYPE_CHECKING:
    from collections.abc import Sequence

STATE_DIR: Final = Path("/var/lib/oompolicy")
RUN_DIR: Final = Path("/run/oompolicy")

_VERBS: Final = {
    "build": "compile the hook's module for this kernel, without any privilege",
    "attach": "detect, load, pin, upgrade in place, fill, hand over",
    "detach": "node as before: programs, maps and module gone",
    "status": "print the report and what is attached",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Each field is the flag of its name."""

    verb: str
    module: Path | None = None
    headers: Path
    source: Path = Path("/opt/oompolicy/module")
    object_dir: Path = Path(__file__).parent.parent / "bpf"
    uid: int = AGENT_UID
    gid: int = AGENT_UID
    host_priority: int = HOST_PRIORITY
    state_dir: Path = STATE_DIR
    run_dir: Path = RUN_DIR
    checkpoint: Path
    report: Path
    bpffs: Path = Path("/sys/fs/bpf/oompolicy")
    cgroup_root: Path = Path("/sys/fs/cgroup")


def parse(arguments: Sequence[str] | None = None) -> Options:
    """From the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="oompolicy-loader", description="Put policy into the kernel, or take it out.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in _VERBS.items():
        _add_flags(verbs.add_parser(verb, help=text, description=text, argument_default=argparse.SUPPRESS), verb)
    given = vars(parser.parse_args(arguments))
    given.setdefault("checkpoint", given.get("state_dir", STATE_DIR) / "checkpoint.json")
    given.setdefault("report", given.get("run_dir", RUN_DIR) / "loader.json")
    given.setdefault("headers", for_this_kernel("/lib/modules/%r/build"))
    return Options(**given)


def for_this_kernel(text: str) -> Path:
    """`%r` stands for the release of the kernel that runs: one setting for nodes of several kernels."""
    return Path(text.replace("%r", os.uname().release))


def _add_flags(parser: argparse.ArgumentParser, verb: str) -> None:
    if verb == "build":
        _add_build_flags(parser)
        return
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="for reports; default /run/oompolicy")
    parser.add_argument("--report", type=Path, metavar="FILE", help="default RUN_DIR/loader.json")
    parser.add_argument("--bpffs", type=Path, metavar="DIR", help="for pins; default /sys/fs/bpf/oompolicy")
    if verb != "attach":
        return
    parser.add_argument("--cgroup-root", type=Path, metavar="DIR", help="cgroup v2; default /sys/fs/cgroup")
    parser.add_argument(
        "--module", type=for_this_kernel, metavar="FILE.ko", help="load it where the kernel has no hook; %%r: uname -r"
    )
    parser.add_argument("--object-dir", type=Path, metavar="DIR", help="BPF objects; default those of this package")
    parser.add_argument("--uid", type=_id, help=f"the agent's user; default {AGENT_UID}")
    parser.add_argument("--gid", type=_id, help=f"the agent's group; default {AGENT_UID}")
    parser.add_argument("--host-priority", type=_priority, metavar="0..1000", help="outside pods; default 1000")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the agent's; default /var/lib/oompolicy")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="default STATE_DIR/checkpoint.json")


def _add_build_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--module", type=for_this_kernel, metavar="FILE.ko", required=True, help="what is made; %%r: uname -r"
    )
    parser.add_argument(
        "--headers", type=for_this_kernel, metavar="DIR", help="default /lib/modules/%%r/build; %%r: uname -r"
    )
    parser.add_argument("--source", type=Path, metavar="DIR", help="default /opt/oompolicy/module")


def _id(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32 - 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no user or group id")
    return int(text)


def _priority(text: str) -> int:
    if not text.isdecimal() or int(text) > PRIORITY_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 0 to {PRIORITY_MAX}")
    return int(text)
