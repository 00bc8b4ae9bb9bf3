# SPDX-License-Identifier: Apache-2.0
"""The command `lint`."""

import click

from oompolicy.cli.files import file_options
from oompolicy.cli.parameters import selection_options
from oompolicy.cli.printing import write
from oompolicy.cli.program import EPILOG
from oompolicy.cli.selection import Selection, nothing_selected
from oompolicy.manifests import Manifests
from oompolicy.manifests.lint import problems_of
from oompolicy.manifests.narrow import narrowed
from oompolicy.manifests.warnings import warnings_of
from oompolicy.model import LabelSelector
from oompolicy.resolve import resolve


@click.command(epilog=EPILOG)
@file_options
@selection_options
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
def command(
    *, manifests: Manifests, namespace: str | None, selector: LabelSelector | None, policy: str | None, strict: bool
) -> int:
    """Print each mistake and each warning with its file, object and field.

    The pods are those of the input, and the pod templates of Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs
    and CronJobs.

    If you select pods, only these are checked, with the policies that select them.
    """
    selection = Selection(None, namespace, selector, policy)
    found = _selected(manifests, selection)
    problems, warnings = (*problems_of(found), *selection.problems(manifests)), warnings_of(found)
    empty = [f"{nothing_selected(manifests)}\n"] if selection != Selection() and not found.pods else []
    write("".join([*(f"{problem}\n" for problem in problems), *(f"warning: {each}\n" for each in warnings), *empty]))
    return 1 if problems or (warnings and strict) else 0


def _selected(manifests: Manifests, selection: Selection) -> Manifests:
    if selection == Selection():
        return manifests
    pods = selection.pods(manifests.pods)
    decided = selection.assignments(resolve(manifests.policies, manifests.namespaces, pods, manifests.defaults))
    uids = {each.pod_uid for each in decided}
    return narrowed(manifests, [pod for pod in pods if pod.uid in uids])
