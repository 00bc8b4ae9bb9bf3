# SPDX-License-Identifier: Apache-2.0
"""The command `preflight`."""

import click

from oompolicy.api import NODES, OOMNODES
from oompolicy.cli.abilities import abilities, table
from oompolicy.cli.cluster import Cluster, cluster_options
from oompolicy.cli.parameters import output_option
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.cli.suggestion import did_you_mean


@click.command(epilog=EPILOG)
@click.argument("node", required=False)
@cluster_options
@output_option
def command(*, node: str | None, cluster: Cluster, output: str) -> int:
    """Print what each node can do, or NODE alone, and why.

    exact: the kernel asks the policies. by scores: the adjuster keeps the order of priorities in oom_score_adj.
    observes: the kernel chooses, and victims are reported. nothing: no program works on this node.

    ENFORCING is the state of now, which depends on the mode too: see oompolicy nodes. Each fact about a node is in
    the output of oompolicy-loader preflight, on the node.
    """
    oomnodes = cluster.objects(OOMNODES)
    nodes = cluster.allowed_objects(NODES, metadata_only=True, without="Nodes without an OOMNode are not shown")
    found = abilities(oomnodes, [str(each["metadata"]["name"]) for each in nodes])
    if node is not None:
        names = [each["node"] for each in found]
        found = [each for each in found if each["node"] == node]
        if not found:
            raise click.ClickException(f"node {node} does not exist{did_you_mean(node, names)}")
    if output in ("table", "wide"):
        write_table(table(found), empty="This cluster has no node.")
    elif output == "name":
        write("".join(f"oomnode/{each['node']}\n" for each in found))
    else:
        write_data(found, output)
    return 0
