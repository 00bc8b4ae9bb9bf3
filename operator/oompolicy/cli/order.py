# SPDX-License-Identifier: Apache-2.0
"""The command `order`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from oompolicy.cli.files import load
from oompolicy.cli.orderfiles import of_files
from oompolicy.cli.orderlist import heading, names, notes, plain, table
from oompolicy.cli.parameters import agents_option, filename_option, output_option
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.gaps import gaps_of
from oompolicy.order.facts import NodeFacts
from oompolicy.order.rank import KUBEPODS, NODE, ranked

if TYPE_CHECKING:
    from oompolicy.cli.cluster import Cluster
    from oompolicy.manifests import Manifests

_SCOPE: Final = re.compile(r"node|kubepods|pod/[^/]+/[^/]+")

Ask = Callable[[], NodeFacts]


def _scope(_: click.Context, __: click.Parameter, value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise click.BadParameter(f"{value!r} is neither {NODE}, {KUBEPODS} nor pod/NAMESPACE/NAME")
    return value


@click.command(epilog=EPILOG)
@click.argument("node", required=False)
@click.option("--scope", default=NODE, callback=_scope, show_default=True, help="node, kubepods or pod/NAMESPACE/NAME.")
@filename_option("Read a file, a directory, or - for standard input, in place of an agent.")
@click.option("-R", "--recursive", is_flag=True, help="Also read the directories below each directory.")
@click.option("--socket", type=click.Path(path_type=Path), metavar="PATH", help="Ask the agent of this machine.")
@click.option("-w", "--watch", is_flag=True, help="Show the order on the full screen, every two seconds anew.")
@agents_option("-n", "--namespace")
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="Default: as kubectl.")
@click.option("--context", metavar="NAME", help="A context of the kubeconfig. Default: the current context.")
@output_option
def command(
    *,
    node: str | None,
    scope: str,
    filename: Sequence[Path],
    recursive: bool,
    socket: Path | None,
    watch: bool,
    namespace: str,
    kubeconfig: Path | None,
    context: str | None,
    output: str,
) -> int:
    """Print the containers of NODE in the order in which the OOM killer kills them.

    The first one dies next. KERNEL is its place if the kernel chose alone. NODE is not needed if there is one node.
    """
    if filename and (socket or watch):
        raise click.UsageError("--filename excludes --socket and --watch")
    if filename:
        return _of_files(load(filename, recursive=recursive), node, scope, output)
    if socket and node:
        raise click.UsageError("--socket asks the agent of this machine, so it excludes NODE")
    ask = _local(socket) if socket else _remote(_connected(kubeconfig, context), node, scope, namespace)
    if watch:
        return _watch(ask, scope, output)
    _print(ask(), scope, output)
    return 0


def _local(path: Path) -> Ask:
    # The client of the API server takes a tenth of a second to load, which the order of files does not need.
    from oompolicy.cli.orderfacts import of_socket  # noqa: PLC0415

    return lambda: of_socket(path)


def _connected(kubeconfig: Path | None, context: str | None) -> Cluster:
    from oompolicy.cli.cluster import connected  # noqa: PLC0415

    return connected(kubeconfig, context)


def _remote(cluster: Cluster, node: str | None, scope: str, namespace: str) -> Ask:
    from oompolicy.cli.orderfacts import node_of, of_agent  # noqa: PLC0415

    chosen = node or node_of(cluster, scope)
    return lambda: of_agent(cluster, chosen, namespace=namespace, option="-n")


def _of_files(manifests: Manifests, node: str | None, scope: str, output: str) -> int:
    pods = [pod for pod in manifests.pods if pod.kind == "Pod"]
    _print(of_files(replace(manifests, pods=tuple(pods)), node), scope, output)
    problems = (*manifests.problems, *gaps_of(manifests, pods, node))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def _watch(ask: Ask, scope: str, output: str) -> int:
    if output != "table":
        raise click.UsageError("--watch has no other format: leave -o out")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal")
    from oompolicy.cli.orderwatch import watch  # noqa: PLC0415

    watch(ask, scope)
    return 0


def _print(facts: NodeFacts, scope: str, output: str) -> None:
    order = ranked(facts, scope)
    if output in ("table", "wide"):
        write(f"{heading(facts)}\n")
        write_table(table(facts, order, scope, wide=output == "wide"), empty=f"No container runs in the scope {scope}.")
        write("".join(f"{each}\n" for each in notes(facts, scope)))
    elif output == "name":
        write("".join(f"{name}\n" for name in names(order)))
    else:
        write_data(plain(facts, order, scope), output)
