# SPDX-License-Identifier: Apache-2.0
"""The arguments that name manifests, and the reading of those files."""

import functools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from oompolicy.cli.parameters import filename_option
from oompolicy.cli.reading import reading
from oompolicy.manifests import Manifests, load_manifests
from oompolicy.parse.problems import Problem


def file_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add `-f FILE`, FILE and `-R` to a command, which gets the `Manifests` as `manifests`. `-f a b` has two files."""

    @click.argument("others", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
    @filename_option("A file, a directory of manifests (*.yaml, *.yml, *.json), or - for standard input.")
    @click.option("-R", "--recursive", is_flag=True, help="Also read the directories below each directory.")
    @functools.wraps(function)
    def command(*, filename: Sequence[Path], others: Sequence[Path], recursive: bool, **options: object) -> int:
        files = (*filename, *others)
        if not files:
            raise click.UsageError("no FILE: name a file, a directory, or - for standard input")
        return function(manifests=load(files, recursive=recursive), **options)

    return command


def file_or_cluster_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `file_options`, and `--cluster` for the objects of a cluster in place of files."""
    of_files = file_options(function)

    @click.option("--cluster", is_flag=True, help="Read the pods and policies of the cluster in place of files.")
    @click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="Default: as kubectl.")
    @click.option("--context", metavar="NAME", help="A context of the kubeconfig. Default: the current context.")
    @functools.wraps(of_files)
    def command(
        *,
        cluster: bool,
        kubeconfig: Path | None,
        context: str | None,
        filename: Sequence[Path],
        others: Sequence[Path],
        recursive: bool,
        namespace: str | None,
        **options: object,
    ) -> int:
        if not cluster:
            files = {"filename": filename, "others": others, "recursive": recursive}
            return of_files(**files, namespace=namespace, **options)
        if filename or others:
            raise click.UsageError("--cluster and FILE exclude each other")
        # The client of the API server takes a tenth of a second to load.
        from oompolicy.cli.cluster import connected  # noqa: PLC0415

        manifests = connected(kubeconfig, context).manifests(namespace)
        return function(manifests=manifests, namespace=namespace, **options)

    return command


def skipped(kinds: Sequence[str]) -> str:
    """Return the line about objects that were skipped, with the number of each kind."""
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(kinds).items()))
    objects = "1 object of another kind" if len(kinds) == 1 else f"{len(kinds)} objects of other kinds"
    return f"skipped {objects}: {counts}\n"


def load(paths: Sequence[Path], *, recursive: bool) -> Manifests:
    """Load manifests. An input without any object is a problem, because the user meant another directory."""
    with reading() as say:
        manifests = load_manifests(paths, stand_in_uids=True, workloads=True, recursive=recursive, on_file=say)
    if manifests.skipped:
        sys.stderr.write(skipped(manifests.skipped))
    if manifests.objects or manifests.problems:
        return manifests
    message = "no OOMPolicy, OOMSettings, Namespace, Pod or workload is in this input"
    return replace(manifests, problems=(Problem(", ".join(map(str, paths)), "", "", message),))
