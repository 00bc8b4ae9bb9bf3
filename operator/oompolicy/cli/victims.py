# SPDX-License-Identifier: Apache-2.0
"""The command `victims`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from oompolicy.api import OOMNODES
from oompolicy.cli.cluster import EVENTS, VICTIM_EVENTS, Cluster, connected
from oompolicy.cli.parameters import DURATION, filename_option, output_option
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.cli.victimfiles import victims_in
from oompolicy.cli.victimlist import Victim, name_of, plain, table, victims
from oompolicy.cli.victimwatch import watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DAY: Final = timedelta(hours=24)


@click.command(epilog=EPILOG)
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="Default: as kubectl.")
@click.option("--context", metavar="NAME", help="A context of the kubeconfig. Default: the current context.")
@filename_option("Read the JSON log of agents, their file of Events, or - for standard input, in place of a cluster.")
@click.option("-n", "--namespace", metavar="NAME", help="Only the victims in this namespace.")
@click.option("--since", type=DURATION, help="How far back, such as 30m or 7d. Default: 24h, and all of a file.")
@click.option("-w", "--watch", "follow", is_flag=True, help="Also print later victims, until Ctrl-C.")
@output_option
def command(
    *,
    kubeconfig: Path | None,
    context: str | None,
    filename: Sequence[Path],
    namespace: str | None,
    since: timedelta | None,
    follow: bool,
    output: str,
) -> int:
    """Print the processes that the OOM killer killed, the last one at the end.

    The sources are the Events of reason OOMVictimKilled, which expire, and the last ten victims of each OOMNode.
    """
    if follow and (filename or output not in ("table", "wide")):
        raise click.UsageError("--watch prints the table of a cluster: leave --filename and other formats out")
    if filename:
        found = selected([each for path in filename for each in _of_file(path)], namespace, since)
        return _print(sorted(found, key=lambda each: each.last), namespace, output, "these files")
    cluster, period = connected(kubeconfig, context), since or _DAY

    def ask() -> list[Victim]:
        return selected(victims_of(cluster, namespace), namespace, period)

    if follow:
        watch(ask, wide=output == "wide")
        return 0
    return _print(ask(), namespace, output, "this time, as far as Events and OOMNodes go back")


def selected(found: Iterable[Victim], namespace: str | None, since: timedelta | None) -> list[Victim]:
    """Return the victims of a namespace that died within a period. None selects all."""
    now = datetime.now(UTC)
    return [
        each for each in found if namespace in (None, each.namespace) and (since is None or now - each.last <= since)
    ]


def _of_file(path: Path) -> list[Victim]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8", errors="backslashreplace")
        return victims_in(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"{path}: {reason}") from error


def _print(found: Sequence[Victim], namespace: str | None, output: str, period: str) -> int:
    if output in ("table", "wide"):
        where = f" in namespace {namespace}" if namespace else ""
        empty = f"The OOM killer killed no process{where} in {period}."
        write_table(table(found, datetime.now(UTC), wide=output == "wide"), empty=empty)
    elif output == "name":
        write("".join(f"{name_of(each)}\n" for each in found))
    else:
        write_data([plain(each) for each in found], output)
    return 0


def victims_of(cluster: Cluster, namespace: str | None) -> list[Victim]:
    """Return all victims that Events and OOMNodes have."""
    path = EVENTS.format(f"namespaces/{namespace}/" if namespace else "")
    events = cluster.objects(path, fieldSelector=VICTIM_EVENTS)
    return victims(events, cluster.allowed_objects(OOMNODES, without="Only victims with an Event are shown"))
