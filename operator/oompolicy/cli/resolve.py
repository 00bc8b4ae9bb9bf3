# SPDX-License-Identifier: Apache-2.0
"""The command `resolve`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from oompolicy.cli.assignments import plain, table
from oompolicy.cli.files import file_options, load
from oompolicy.cli.printing import write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.gaps import gaps_of
from oompolicy.resolve import resolve


@click.command(epilog=EPILOG)
@file_options
@click.option("--node", metavar="NAME", help="Only the pods of this node (spec.nodeName).")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def command(files: Sequence[Path], node: str | None, output: str) -> int:
    """Print the priority of each pod and container, with its reason."""
    manifests = load(files)
    pods = [pod for pod in manifests.pods if node in (None, pod.node_name)]
    assignments = resolve(manifests.policies, manifests.namespaces, pods)
    if output == "table":
        write_table(table(assignments), empty="No pod is in this input.")
    else:
        write_data([plain(each) for each in assignments], output)
    problems = (*manifests.problems, *gaps_of(manifests, pods, node))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0
