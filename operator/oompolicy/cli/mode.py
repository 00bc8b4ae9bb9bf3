# SPDX-License-Identifier: Apache-2.0
"""The command `mode`."""

from typing import Final

import click

from oompolicy.api import NODES, OOMNODES, SETTINGS
from oompolicy.cli.cluster import Cluster, cluster_options
from oompolicy.cli.modechange import RESUME, SUSPEND, ModeNode, changes, mode_nodes, patch_of, settings_of, table
from oompolicy.cli.parameters import SELECTOR
from oompolicy.cli.printing import write, write_table
from oompolicy.cli.program import EPILOG
from oompolicy.model import LabelSelector
from oompolicy.oomsettings import NAME, Mode, OOMSettings
from oompolicy.resolve.matching import selects

_PATH: Final = f"{SETTINGS}/{NAME}"
_ACTIONS: Final = (*(mode.value for mode in Mode), SUSPEND, RESUME)


@click.command(epilog=EPILOG)
@click.argument("action", metavar=f"[{'|'.join(_ACTIONS)}]", required=False, type=click.Choice(_ACTIONS))
@cluster_options
@click.option("-l", "--selector", type=SELECTOR, help="Only the nodes with these labels.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the change.")
def command(*, action: str | None, cluster: Cluster, selector: LabelSelector | None, yes: bool) -> int:
    """Print the mode of each node, or change it in the OOMSettings of the cluster.

    Enforce: the policies choose the victim. Audit: the kernel chooses, and nodes report the choice of the policies.
    Off: the kernel chooses.

    With -l, the mode becomes the first entry of nodeModes. suspend puts every node into Off, and resume ends that.
    """
    if selector and action in (SUSPEND, RESUME):
        raise click.UsageError(f"{action} is for every node: leave -l out")
    raw = cluster.get(_PATH)
    if raw is None:
        raise click.ClickException("no OOMSettings exists: install the chart, or apply one with the name cluster")
    try:
        settings = settings_of(raw)
        nodes = _nodes(cluster)
        if action is None:
            return _show(settings, [each for each in nodes if selects(selector, each.labels)])
        patch = patch_of(raw["spec"], action, selector)
        after = settings_of({**raw, "spec": {**raw["spec"], **patch}})
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _describe(settings, after, nodes, selector)
    if not yes and not click.confirm("Continue?"):
        write("Nothing is changed.\n")
        return 1
    # The version of the object makes the server refuse the change if somebody else has changed nodeModes since.
    version = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}} if selector else {}
    cluster.patch(_PATH, {**version, "spec": patch})
    write("OOMSettings cluster is changed.\n")
    return 0


def _nodes(cluster: Cluster) -> list[ModeNode]:
    nodes = cluster.allowed_objects(NODES, metadata_only=True, without="The labels of nodes are not known")
    return mode_nodes(cluster.objects(OOMNODES), nodes)


def _show(settings: OOMSettings, nodes: list[ModeNode]) -> int:
    suspended = ", suspended" if settings.suspend else ""
    write(f"OOMSettings cluster: mode {settings.mode}{suspended}\n")
    write_table(table(settings, nodes), empty="No OOMNode is selected.")
    return 0


def _describe(before: OOMSettings, after: OOMSettings, nodes: list[ModeNode], selector: LabelSelector | None) -> None:
    if selector and not any(selects(selector, each.labels) for each in nodes):
        write("No node has these labels now. Nodes that get them later get the mode.\n")
    if before.suspend and after.suspend:
        write("OOMSettings is suspended, so every node stays in mode Off until you run: oompolicy mode resume\n")
    write_table(changes(before, after, nodes), empty="No node gets another mode.")
