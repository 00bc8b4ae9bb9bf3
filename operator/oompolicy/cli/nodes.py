# SPDX-License-Identifier: Apache-2.0
"""The command `nodes`."""

from datetime import UTC, datetime

import click

from oompolicy.api import NODES, OOMNODES
from oompolicy.cli.cluster import Cluster, cluster_options
from oompolicy.cli.nodereports import reports, table
from oompolicy.cli.parameters import output_option
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG


@click.command(epilog=EPILOG)
@cluster_options
@output_option
def command(*, cluster: Cluster, output: str) -> int:
    """Print which nodes enforce, and why the others do not.

    SEEN is the time since the last heartbeat of the node's agent.
    """
    oomnodes = cluster.objects(OOMNODES)
    nodes = cluster.allowed_objects(NODES, metadata_only=True, without="Nodes without an OOMNode are not shown")
    found = reports(oomnodes, [str(each["metadata"]["name"]) for each in nodes])
    if output in ("table", "wide"):
        write_table(table(found, datetime.now(UTC), wide=output == "wide"), empty="This cluster has no node.")
    elif output == "name":
        write("".join(f"oomnode/{each['node']}\n" for each in found))
    else:
        write_data(found, output)
    return 0
