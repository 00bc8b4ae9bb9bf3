# SPDX-License-Identifier: Apache-2.0
"""The command line: `oompolicy resolve` and `oompolicy lint`."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from oompolicy.gaps import gaps_of
from oompolicy.manifests import Manifests, load_manifests
from oompolicy.manifests.lint import problems_of
from oompolicy.manifests.warnings import warnings_of
from oompolicy.output import formatted
from oompolicy.parse.problems import Problem
from oompolicy.resolve import resolve

_FILES: Final = "a file, a directory of manifests (*.yaml, *.yml, *.json; not below it), or - for standard input"
_EPILOG: Final = "Exit status: 0 success, 1 a problem with the manifests, 2 wrong usage."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = _parser().parse_args(argv)
    return _resolve(arguments) if arguments.command == "resolve" else _lint(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oompolicy", description="Show which pods the kernel's OOM killer kills first.", epilog=_EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser(
        "resolve", help="print the priority of each pod and container, with its reason", epilog=_EPILOG
    )
    command.add_argument(
        "-f", "--filename", action="extend", nargs="+", type=Path, required=True, metavar="FILE", help=_FILES
    )
    command.add_argument("--node", metavar="NAME", help="only the pods of this node (spec.nodeName)")
    command.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")

    command = commands.add_parser(
        "lint", help="print each mistake and each warning with its file, object and field", epilog=_EPILOG
    )
    command.add_argument("filename", nargs="+", type=Path, metavar="FILE", help=_FILES)
    command.add_argument("--strict", action="store_true", help="exit with status 1 for warnings too")
    return parser


def _load(paths: Sequence[Path]) -> Manifests:
    """Load manifests. An input without any object is a problem, because the user meant another directory."""
    manifests = load_manifests(paths, stand_in_uids=True)
    if manifests.objects or manifests.problems:
        return manifests
    nothing = Problem(
        ", ".join(map(str, paths)), "", "", "no OOMPolicy, OOMSettings, Namespace or Pod is in this input"
    )
    return replace(manifests, problems=(nothing,))


def _resolve(arguments: argparse.Namespace) -> int:
    manifests = _load(arguments.filename)
    pods = [pod for pod in manifests.pods if arguments.node in (None, pod.node_name)]
    _print(formatted(resolve(manifests.policies, manifests.namespaces, pods), arguments.output))
    problems = (*manifests.problems, *gaps_of(manifests, pods, arguments.node))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def _lint(arguments: argparse.Namespace) -> int:
    manifests = _load(arguments.filename)
    problems, warnings = problems_of(manifests), warnings_of(manifests)
    _print("".join([*(f"{problem}\n" for problem in problems), *(f"warning: {each}\n" for each in warnings)]))
    return 1 if problems or (warnings and arguments.strict) else 0


def _print(text: str) -> None:
    """Write the text. A reader that closes early, such as `head`, is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may contain bytes that are not valid text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
