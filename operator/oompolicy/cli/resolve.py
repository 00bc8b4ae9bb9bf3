# SPDX-License-Identifier: Apache-2.0
"""The command `resolve`."""

import sys

import click

from oompolicy.cli.assignments import name_of, plain, table, wide_table
from oompolicy.cli.files import file_or_cluster_options
from oompolicy.cli.parameters import output_option, selection_options
from oompolicy.cli.printing import write, write_data, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.cli.selection import SORT_KEYS, Selection, dies_first, nothing_selected
from oompolicy.gaps import gaps_of
from oompolicy.manifests import Manifests
from oompolicy.model import LabelSelector
from oompolicy.resolve import resolve


@click.command(epilog=EPILOG)
@file_or_cluster_options
@click.option("--node", metavar="NAME", help="Only the pods of this node (spec.nodeName).")
@selection_options
@click.option(
    "--sort-by",
    type=click.Choice(SORT_KEYS),
    default="name",
    show_default=True,
    help="priority: the pods that die first come first.",
)
@output_option
def command(
    *,
    manifests: Manifests,
    node: str | None,
    namespace: str | None,
    selector: LabelSelector | None,
    policy: str | None,
    sort_by: str,
    output: str,
) -> int:
    """Print the priority of each pod and container, with its reason.

    A pod template of a workload is printed with the name of the workload, such as Deployment/web.
    """
    selection = Selection(node, namespace, selector, policy)
    pods = selection.pods(manifests.pods)
    assignments = selection.assignments(resolve(manifests.policies, manifests.namespaces, pods, manifests.defaults))
    if sort_by == "priority":
        assignments.sort(key=dies_first)
    nodes = {pod.uid: pod.node_name for pod in pods}
    if output in ("table", "wide"):
        shown = wide_table(assignments, nodes) if output == "wide" else table(assignments)
        write_table(shown, empty=nothing_selected(manifests))
    elif output == "name":
        write("".join(f"{name_of(each)}\n" for each in assignments))
    else:
        write_data([plain(each, nodes[each.pod_uid]) for each in assignments], output)
    without_pods = None if any(pod.node_name == node for pod in manifests.pods) else node
    problems = (*manifests.problems, *selection.problems(manifests), *gaps_of(manifests, pods, without_pods))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0
