# SPDX-License-Identifier: Apache-2.0
"""Ask the agent of a node for the facts about its containers, through the API server or on a Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from oompolicy.api import NAMESPACES, OOMNODES
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.kube.portforward import get
from oompolicy.order.facts import PATH, PORT, NodeFacts, parse
from oompolicy.order.rank import POD

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.cli.cluster import Cluster

_AGENTS: Final = "app.kubernetes.io/name=oompolicy,app.kubernetes.io/component=agent"
_SILENCE: Final = 15.0
"""Seconds without an answer of the agent, which may be short of memory and CPU."""


def of_agent(cluster: Cluster, node: str, *, namespace: str, option: str) -> NodeFacts:
    """Ask the agent of a node through the API server. Raise ClickException with a sentence if there is no answer.

    `option` is the option of the command with which the user names the namespace of the agents.
    """
    pod = _agent_of(cluster, node, namespace, option)
    try:
        status, body = get(cluster.connection, namespace, pod, PORT, PATH, timeout=_SILENCE)
    except ApiError as error:
        raise click.ClickException(f"port-forward to pod {namespace}/{pod} failed: {error.message}") from error
    except UnreachableError as error:
        raise click.ClickException(f"pod {namespace}/{pod} cannot be reached: {error}") from error
    return _read(status, body, f"the agent {namespace}/{pod}")


def of_socket(path: Path) -> NodeFacts:
    """Ask the agent of this machine on its Unix socket. Raise ClickException with a sentence if there is no answer."""
    with closing(socket.socket(socket.AF_UNIX)) as connected:
        connected.settimeout(_SILENCE)
        try:
            connected.connect(str(path))
        except PermissionError as error:
            raise click.ClickException(f"{path} is for root and the agent's user: run this command as root") from error
        except OSError as error:
            message = f"the agent cannot be reached at {path}: {error.strerror or error}. Check that it runs"
            raise click.ClickException(message) from error
        client = http.client.HTTPConnection("localhost")
        client.sock = connected
        try:
            client.request("GET", PATH)
            answer = client.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise click.ClickException(f"the agent at {path} did not answer: {error}") from error
    return _read(answer.status, body, f"the agent at {path}")


def node_of(cluster: Cluster, scope: str) -> str:
    """Return the node of the pod that a scope names, or else the only node. Raise UsageError if there are several."""
    if scope.startswith(POD):
        _, namespace, name = scope.split("/")
        pod = cluster.get(f"{NAMESPACES}/{namespace}/pods/{name}")
        found = (pod or {}).get("spec", {}).get("nodeName")
        if not found:
            raise click.ClickException(f"pod {namespace}/{name} {'is on no node yet' if pod else 'does not exist'}")
        return str(found)
    nodes = [str(each["metadata"]["name"]) for each in cluster.objects(OOMNODES, metadata_only=True)]
    if len(nodes) == 1:
        return nodes[0]
    if not nodes:
        raise click.ClickException("no OOMNode exists, so no agent has been installed on a node: run oompolicy nodes")
    shown = ", ".join(sorted(nodes)[:10]) + (", ..." if len(nodes) > 10 else "")
    raise click.UsageError(f"name one of the {len(nodes)} nodes: {shown}")


def _agent_of(cluster: Cluster, node: str, namespace: str, option: str) -> str:
    path = f"{NAMESPACES}/{namespace}/pods"
    pods = cluster.objects(path, labelSelector=_AGENTS, fieldSelector=f"spec.nodeName={node}")
    running = [each for each in pods if each.get("status", {}).get("phase") == "Running"]
    if not running:
        raise click.ClickException(
            f"no agent runs on node {node} in namespace {namespace}: "
            f"run oompolicy nodes to see why, or name another namespace with {option}"
        )
    return str(running[0]["metadata"]["name"])


def _read(status: int, body: bytes, who: str) -> NodeFacts:
    if status != http.client.OK:
        raise click.ClickException(f"{who} answered: {body.decode(errors='replace').strip()}")
    try:
        return parse(json.loads(body))
    except ValueError as error:
        raise click.ClickException(f"{who}: {error}") from error
