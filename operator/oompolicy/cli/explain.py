# SPDX-License-Identifier: Apache-2.0
"""The command `explain`."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import click

from oompolicy.api import API_VERSION, NAMESPACES, OOMNODES, POLICIES
from oompolicy.cli import explanation, nodereports, victimlist
from oompolicy.cli.cluster import EVENTS, VICTIM_EVENTS, Cluster, cluster_options
from oompolicy.cli.explanation import Explanation
from oompolicy.cli.parameters import output_option
from oompolicy.cli.printing import rendered, write, write_data
from oompolicy.cli.program import EPILOG
from oompolicy.manifests import manifests_from_checkpoint
from oompolicy.resolve import resolve
from oompolicy.resolve.explain import verdicts


@click.command(epilog=EPILOG)
@click.argument("pod")
@cluster_options
@click.option("-n", "--namespace", metavar="NAME", help="The pod's namespace. Default: that of the context.")
@output_option
def command(*, pod: str, cluster: Cluster, namespace: str | None, output: str) -> int:
    """Print why POD has its priority.

    You see the priority of each container, each policy that matches or nearly does, the state of the node, and the last
    victims in the pod.
    """
    found = explained(cluster, namespace or cluster.namespace, pod.removeprefix("pod/"))
    if output in ("table", "wide"):
        write(described(found, wide=output == "wide"))
    elif output == "name":
        write(f"pod/{found.pod.namespace}/{found.pod.name}\n")
    else:
        write_data(found.plain(), output)
    return 0


def explained(cluster: Cluster, namespace: str, name: str) -> Explanation:
    """Read all objects that decide about a pod. Raise ClickException if the pod does not exist or cannot be read."""
    space = f"{NAMESPACES}/{namespace}"
    raw = cluster.get(f"{space}/pods/{name}")
    if raw is None:
        raise click.ClickException(_missing(cluster, namespace, name))
    policies = [{**each, "apiVersion": API_VERSION, "kind": "OOMPolicy"} for each in cluster.objects(POLICIES)]
    objects = [each for each in (*policies, cluster.get(space), raw) if each]
    manifests = manifests_from_checkpoint((None, each) for each in objects)
    for problem in manifests.problems:
        click.echo(str(problem), err=True)
    if not manifests.pods:
        raise click.ClickException(f"pod {namespace}/{name} cannot be read")
    (pod,) = manifests.pods
    labels = next((each.labels for each in manifests.namespaces), {})
    (assignment,) = resolve(manifests.policies, manifests.namespaces, [pod])
    chosen = verdicts(manifests.policies, labels, pod)
    oomnode = _oomnode(cluster, pod.node_name)
    selector = f"{VICTIM_EVENTS},regarding.kind=Pod,regarding.name={name}"
    events = cluster.objects(EVENTS.format(f"namespaces/{namespace}/"), fieldSelector=selector)
    victims = victimlist.victims(events, [oomnode] if oomnode else [])
    own = [each for each in victims if (each.namespace, each.pod) == (namespace, name)]
    return Explanation(pod, assignment, chosen, _state(oomnode, pod.node_name), own)


def described(found: Explanation, *, wide: bool) -> str:
    """Return the tables of the explanation, each below a line of its own."""
    now = datetime.now(UTC)
    parts = [explanation.heading(found), rendered(explanation.containers(found))]
    policies = explanation.policies(found, everything=wide)
    parts += [rendered(policies) if policies.rows else "No policy matches, or nearly does.\n"]
    if not wide and (hidden := explanation.hidden(found)):
        parts[-1] += f"{hidden}.\n"
    state = explanation.node(found, now, wide=wide)
    parts += [rendered(state) if state.rows else "The pod is on no node yet.\n"]
    last = victimlist.table(found.victims, now, wide=wide)
    parts += [
        rendered(last) if last.rows else "The OOM killer killed no process of this pod, as far as Events go back.\n"
    ]
    return "\n".join([parts[0], *parts[1:]])


def _oomnode(cluster: Cluster, node: str | None) -> dict[str, Any] | None:
    if node is None:
        return None
    found = cluster.allowed_objects(
        OOMNODES, without="The state of the node is unknown", fieldSelector=f"metadata.name={node}"
    )
    return found[0] if found else None


def _state(oomnode: dict[str, Any] | None, node: str | None) -> dict[str, Any] | None:
    if oomnode is not None:
        return nodereports.report(oomnode)
    return nodereports.reports([], [node])[0] if node else None


def _missing(cluster: Cluster, namespace: str, name: str) -> str:
    pods = cluster.allowed_objects(f"{NAMESPACES}/{namespace}/pods", metadata_only=True, without="")
    names = [str(each["metadata"]["name"]) for each in pods]
    close = get_close_matches(name, names)
    hint = f". Did you mean {' or '.join(close)}?" if close else ""
    return f"pod {namespace}/{name} does not exist{hint}"
