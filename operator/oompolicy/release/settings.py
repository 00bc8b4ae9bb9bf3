# SPDX-License-Identifier: Apache-2.0
"""The command line of `oompolicy-release`."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERBS: Final = {
    "stop": "delete the DaemonSets, and wait until their last pod has ended",
    "await": "wait until a pod of each DaemonSet is ready on each of its nodes",
    "check": "wait as await does, and then until each of these nodes reports that it enforces",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one run. Each field but `every` has the name of its flag, and `daemonsets` is `--daemonset`."""

    verb: str
    daemonsets: tuple[str, ...]
    namespace: str
    kubeconfig: Path | None = None
    deadline: float = 240.0  # seconds; below the 5 minutes of Helm's own --timeout, which reports no reason
    observing_is_enough: bool = False

    every: float = 1.0  # seconds between two checks; a check is a GET of a small object


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Parse the command line. Exit with status 2 if it is wrong."""
    parser = argparse.ArgumentParser(prog="oompolicy-release", description="Run one step of the Helm chart.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in _VERBS.items():
        _add_flags(verbs.add_parser(verb, help=text, description=text, argument_default=argparse.SUPPRESS), verb)
    given = {"namespace": os.environ.get("POD_NAMESPACE", ""), **vars(parser.parse_args(arguments))}
    if not given["namespace"]:
        parser.error("--namespace or $POD_NAMESPACE is required")
    return Settings(daemonsets=tuple(given.pop("daemonset")), **given)


def _add_flags(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument(
        "--daemonset", required=True, action="append", metavar="NAME", help="name of a DaemonSet; may be repeated"
    )
    parser.add_argument("--namespace", metavar="NAME", help="namespace of the DaemonSets; default $POD_NAMESPACE")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="kubeconfig file; default: the service account of this pod"
    )
    parser.add_argument("--deadline", type=float, metavar="SECONDS", help="seconds for the whole step; default 240")
    if verb == "check":
        parser.add_argument(
            "--observing-is-enough",
            action="store_true",
            help="accept nodes that only report victims, because there is no hook",
        )
