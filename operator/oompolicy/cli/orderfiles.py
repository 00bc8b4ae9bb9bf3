# SPDX-License-Identifier: Apache-2.0
"""Get the facts about the containers of a node from manifests, which have no memory. Pure."""

import click

from oompolicy.manifests import Manifests
from oompolicy.model import MAX_PRIORITY
from oompolicy.order.facts import NodeFacts, Running
from oompolicy.resolve import resolve
from oompolicy.resolve.assign import is_permission


def of_files(manifests: Manifests, node: str | None) -> NodeFacts:
    """Return the facts of files, without memory. Raise UsageError if the pods are of several nodes."""
    nodes = sorted({pod.node_name for pod in manifests.pods if pod.node_name})
    if node is None and len(nodes) > 1:
        raise click.UsageError(f"the pods of the input are on several nodes: name one of {', '.join(nodes)}")
    pods = [pod for pod in manifests.pods if node in (None, pod.node_name) and not pod.finished]
    requests = {(pod.uid, each.name): each.memory_request for pod in pods for each in pod.containers}
    containers = tuple(
        Running(
            namespace=each.namespace,
            pod=each.pod_name,
            container=one.name,
            priority=one.priority,
            source="annotation" if is_permission(one.reason) else "policy" if each.policy else "default",
            policy=each.policy,
            reason=one.reason,
            memory_request=requests[each.pod_uid, one.name],
        )
        for each in resolve(manifests.policies, manifests.namespaces, pods, manifests.defaults)
        for one in each.containers
    )
    name, settings = node or ", ".join(nodes) or "no node", manifests.settings
    host_priority = settings.host_priority if settings else MAX_PRIORITY
    return NodeFacts(name, None, None, enforcing=False, containers=containers, host_priority=host_priority)
