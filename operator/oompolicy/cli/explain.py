# SPDX-License-Identifier: Apache-2.0
"""The command `explain`."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from oompolicy.api import API_VERSION, NAMESPACES, OOMNODES, POLICIES
from oompolicy.cli import explanation, nodereports, victimlist
from oompolicy.cli.cluster import EVENTS, VICTIM_EVENTS, Cluster, cluster_options
from oompolicy.cli.explanation import Explanation
from oompolicy.cli.held import Held, held, notes
from oompolicy.cli.orderfacts import of_agent
from oompolicy.cli.parameters import agents_option, output_option
from oompolicy.cli.printing import rendered, write, write_data
from oompolicy.cli.program import EPILOG
from oompolicy.cli.suggestion import did_you_mean
from oompolicy.manifests import manifests_from_checkpoint
from oompolicy.model import Assignment
from oompolicy.order.facts import NodeFacts
from oompolicy.resolve import resolve
from oompolicy.resolve.explain import verdicts

Ask = Callable[[str], NodeFacts]


@click.command(epilog=EPILOG)
@click.argument("pod")
@cluster_options
@click.option("-n", "--namespace", metavar="NAME", help="The pod's namespace. Default: that of the context.")
@agents_option("--agents")
@output_option
def command(*, pod: str, cluster: Cluster, namespace: str | None, agents: str, output: str) -> int:
    """Print why POD has its priority.

    You see the priority of each container, and the one that the node holds, each policy that matches or nearly does,
    the state of the node, and the last victims in the pod.
    """
    ask = partial(of_agent, cluster, namespace=agents, option="--agents")
    found = explained(cluster, namespace or cluster.namespace, pod.removeprefix("pod/"), ask)
    if output in ("table", "wide"):
        write(described(found, datetime.now(UTC), wide=output == "wide"))
    elif output == "name":
        write(f"pod/{found.pod.namespace}/{found.pod.name}\n")
    else:
        write_data(found.plain(), output)
    return 0


def explained(cluster: Cluster, namespace: str, name: str, ask: Ask) -> Explanation:
    """Read all objects that decide about a pod. Raise ClickException if the pod does not exist or cannot be read.

    `ask` returns the answer of a node's agent, or raises ClickException.
    """
    space = f"{NAMESPACES}/{namespace}"
    raw = cluster.get(f"{space}/pods/{name}")
    if raw is None:
        raise click.ClickException(_missing(cluster, namespace, name))
    policies = [{**each, "apiVersion": API_VERSION, "kind": "OOMPolicy"} for each in cluster.objects(POLICIES)]
    objects = [each for each in (*policies, *cluster.settings(), cluster.get(space), raw) if each]
    manifests = manifests_from_checkpoint((None, each) for each in objects)
    for problem in manifests.problems:
        click.echo(str(problem), err=True)
    if not manifests.pods:
        raise click.ClickException(f"pod {namespace}/{name} cannot be read")
    (pod,) = manifests.pods
    labels = next((each.labels for each in manifests.namespaces), None)
    (assignment,) = resolve(manifests.policies, manifests.namespaces, [pod], manifests.defaults)
    chosen = verdicts(manifests.policies, labels, pod)
    oomnode = _oomnode(cluster, pod.node_name)
    selector = f"{VICTIM_EVENTS},regarding.kind=Pod,regarding.name={name}"
    events = cluster.objects(EVENTS.format(f"namespaces/{namespace}/"), fieldSelector=selector)
    victims = victimlist.victims(events, [oomnode] if oomnode else [])
    own = [each for each in victims if (each.namespace, each.pod) == (namespace, name)]
    state = _state(oomnode, pod.node_name)
    return Explanation(pod, assignment, chosen, state, own, _held(assignment, state, ask))


def described(found: Explanation, now: datetime, *, wide: bool, colour: bool | None = None) -> str:
    """Return the tables of the explanation, each below a line of its own. `colour` is that of `rendered`."""
    parts = [explanation.heading(found), rendered(explanation.containers(found), colour=colour)]
    parts[-1] += "".join(f"{each}\n" for each in notes(found.held))
    policies = explanation.policies(found, everything=wide)
    parts += [rendered(policies, colour=colour) if policies.rows else "No policy matches, or nearly does.\n"]
    if not wide and (hidden := explanation.hidden(found)):
        parts[-1] += f"{hidden}.\n"
    state = explanation.node(found, now, wide=wide)
    parts += [rendered(state, colour=colour) if state.rows else "The pod is on no node yet.\n"]
    last = victimlist.table(found.victims, now, wide=wide)
    none = "The OOM killer killed no process of this pod, as far as Events go back.\n"
    parts += [rendered(last, colour=colour) if last.rows else none]
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


def _held(assignment: Assignment, state: dict[str, Any] | None, ask: Ask) -> Held:
    """Return the priorities that the node holds. A node that does not answer is a problem, and no error."""
    if state is None:
        return Held(problem="the pod is on no node yet")
    if state["enforcing"] == "Unknown":
        # A silent agent would let the user wait for the end of the time limit.
        return Held(problem=state["why"])
    try:
        return held(ask(state["node"]), assignment)
    except click.ClickException as error:
        return Held(problem=error.message)


def _missing(cluster: Cluster, namespace: str, name: str) -> str:
    pods = cluster.allowed_objects(f"{NAMESPACES}/{namespace}/pods", metadata_only=True, without="")
    names = [str(each["metadata"]["name"]) for each in pods]
    return f"pod {namespace}/{name} does not exist{did_you_mean(name, names)}"
