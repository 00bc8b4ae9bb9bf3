# SPDX-License-Identifier: Apache-2.0
"""The arguments that name manifests, and the reading of those files."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from oompolicy.manifests import Manifests, load_manifests
from oompolicy.parse.problems import Problem


def file_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add `-f FILE` and FILE to a command, which gets all of them as `files`. `-f a b` has two files."""

    @click.argument("others", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
    @click.option(
        "-f",
        "--filename",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file, a directory of manifests (*.yaml, *.yml, *.json), or - for standard input.",
    )
    @functools.wraps(function)
    def command(*, filename: Sequence[Path], others: Sequence[Path], **options: object) -> int:
        files = (*filename, *others)
        if not files:
            raise click.UsageError("no FILE: name a file, a directory, or - for standard input")
        return function(files=files, **options)

    return command


def load(paths: Sequence[Path]) -> Manifests:
    """Load manifests. An input without any object is a problem, because the user meant another directory."""
    manifests = load_manifests(paths, stand_in_uids=True)
    if manifests.objects or manifests.problems:
        return manifests
    nothing = Problem(", ".join(map(str, paths)), "", "", "no OOMPolicy, Namespace or Pod is in this input")
    return replace(manifests, problems=(nothing,))
