# SPDX-License-Identifier: Apache-2.0
"""The command `victims`."""

from datetime import UTC, datetime, timedelta

import click

from oompolicy.api import OOMNODES
from oompolicy.cli.cluster import EVENTS, VICTIM_EVENTS, Cluster, cluster_options
from oompolicy.cli.parameters import DURATION, output_option
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.cli.victimlist import Victim, name_of, plain, table, victims


@click.command(epilog=EPILOG)
@cluster_options
@click.option("-n", "--namespace", metavar="NAME", help="Only the victims in this namespace.")
@click.option("--since", type=DURATION, default="24h", show_default=True, help="How far back, such as 30m or 7d.")
@output_option
def command(*, cluster: Cluster, namespace: str | None, since: timedelta, output: str) -> int:
    """Print the processes that the OOM killer killed, the last one at the end.

    The sources are the Events of reason OOMVictimKilled, which expire, and the last ten victims of each OOMNode.
    """
    now = datetime.now(UTC)
    found = [
        each
        for each in victims_of(cluster, namespace)
        if now - each.last <= since and namespace in (None, each.namespace)
    ]
    if output in ("table", "wide"):
        where = f" in namespace {namespace}" if namespace else ""
        empty = f"The OOM killer killed no process{where} in this time, as far as Events and OOMNodes go back."
        write_table(table(found, now, wide=output == "wide"), empty=empty)
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
