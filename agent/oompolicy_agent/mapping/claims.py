# SPDX-License-Identifier: Apache-2.0
"""Decide which pod a cgroup belongs to if several pod objects claim it. Pure.

The name of a pod's cgroup contains a uid. A pod claims the cgroup of its own uid. A mirror pod claims the cgroup of the
static pod in its annotation. The API server sets uids, but every user who may create pods can write the annotation and
the owner (`oompolicy.mirror`). So fields that users cannot write decide, in this order:

1. The pod with this uid gets the cgroup.
2. Of mirror pods, the one whose status names a container in the cgroup gets it. Only the kubelet writes the status, and
   it writes none for a mirror pod without a static pod.
3. Until the kubelet has written the status, a mirror pod counts if its Node owns it: first the pod that had the cgroup
   before, then the pod that was created first. If two were created in the same second, none gets the cgroup.

A mirror pod of the third kind gets no priority below the class default, and none below that of another such pod with
the same claim, and no kill scope. For that moment a forged pod can raise a static pod, but never lower it.
No mirror pod of the third kind gets a cgroup with a uid of the API server's form. No mirror pod at all gets a cgroup
that a pod with this uid had before, because a pod that was deleted by force runs on without its object for a while.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.mirror import MIRROR, is_static
from oompolicy.model import Refusal
from oompolicy.text import clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.mapping.cgroups import PodCgroup, Tree
    from oompolicy_agent.mapping.owners import Owner

NOT_ITS_OWN: Final = "the uid is that of another pod, and this pod is no static pod's"
NOT_THE_NODES: Final = "the kubelet did not make this mirror pod: its controlling owner is not the Node it is on"
NOT_PROVEN: Final = "the cgroup with that uid belongs to another pod"
NOT_FIRST: Final = "another mirror pod with the same uid was there first"
NOT_DECIDED: Final = "another mirror pod has the same uid, and nothing tells yet which of them the kubelet made"

_API_UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHOWN: Final = 64
_UNTIL_PROVEN: Final = "the least for a static pod until the kubelet reports its containers"


@dataclass(frozen=True, slots=True)
class Settled:
    """The result for all pods. Each of `pods` has its cgroup alone, and `assignments` are the assignments of these.

    `assignments_to_report` has the assignments of all pods, with a refusal for each refused claim. `refused` has the
    uids of the pods with a refused claim. `waiting` has the mirror pods that wait for the kubelet to write their
    status.
    """

    pods: tuple[Pod, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    assignments_to_report: tuple[Assignment, ...] = ()
    refused: frozenset[str] = frozenset()
    waiting: tuple[Pod, ...] = ()


class _Verdict(NamedTuple):
    """The claims of one cgroup. One of `rivals` may be the right pod, and `why` has the reason against the others."""

    winner: Pod | None
    rivals: tuple[Pod, ...]
    why: str


def settle(
    pods: Iterable[Pod],
    assignments: Iterable[Assignment],
    tree: Tree,
    before: Callable[[int], Owner | None],
    defaults: Defaults,
) -> Settled:
    """Give each cgroup to one pod at most. `before` gives the last known owner of a cgroup id."""
    assigned = {assignment.pod_uid: assignment for assignment in assignments}
    won: dict[str, Assignment] = {}
    winners: list[Pod] = []
    refusals: dict[str, Refusal] = {}
    waiting: list[Pod] = []
    for uid, claimants in _claims(pods).items():
        cgroup = tree.pods.get(uid)
        verdict = _judge(claimants, cgroup, before(cgroup.id) if cgroup else None)
        for pod in claimants:
            if pod is verdict.winner:
                winners.append(pod)
                if pod.uid in assigned:
                    won[pod.uid] = _least(assigned[pod.uid], verdict, assigned, cgroup, defaults)
            elif not verdict.why and is_static(pod):
                waiting.append(pod)
            else:
                refusals[pod.uid] = Refusal(MIRROR, clip(uid, _SHOWN), _why(pod, verdict))
    to_report = tuple(_refused(won.get(uid, each), refusals.get(uid)) for uid, each in assigned.items())
    return Settled(tuple(winners), tuple(won.values()), to_report, frozenset(refusals), tuple(waiting))


def by_cgroup(pods: Iterable[Pod], tree: Tree | None = None) -> dict[str, Pod]:
    """Return the pod of each cgroup, by the uid in the cgroup's name. Earlier owners are not considered."""
    known = tree.pods if tree else {}
    verdicts = {uid: _judge(claimants, known.get(uid), None) for uid, claimants in _claims(pods).items()}
    return {uid: verdict.winner for uid, verdict in verdicts.items() if verdict.winner}


def _claims(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    claims: dict[str, list[Pod]] = {}
    for pod in pods:
        claims.setdefault(pod.cgroup_uid, []).append(pod)
    return claims


def _judge(claimants: list[Pod], cgroup: PodCgroup | None, before: Owner | None) -> _Verdict:
    # The API server and `oompolicy.manifests` let no two pods have one uid.
    if own := next((pod for pod in claimants if pod.uid == pod.cgroup_uid), None):
        return _Verdict(own, (own,), NOT_ITS_OWN)
    if before and before.pod and before.pod_uid == before.cgroup_uid:
        return _Verdict(None, (), NOT_PROVEN)
    proven = tuple(pod for pod in claimants if _proven(pod, cgroup))
    if len(proven) == 1:
        return _Verdict(proven[0], proven, NOT_PROVEN)
    rivals = proven or tuple(pod for pod in claimants if _plausible(pod))
    if before and before.pod:
        return _Verdict(_heir(rivals, before), rivals, NOT_PROVEN)
    return _first(rivals)


def _heir(rivals: tuple[Pod, ...], before: Owner) -> Pod | None:
    """Return the newest object of each name. The kubelet creates a deleted mirror pod again under the same name."""
    return next((pod for pod in rivals if (pod.namespace, pod.name) == (before.namespace, before.pod)), None)


def _first(rivals: tuple[Pod, ...]) -> _Verdict:
    oldest = min((_created(pod) for pod in rivals), default="")
    first = [pod for pod in rivals if _created(pod) == oldest]
    if len(first) == 1:
        return _Verdict(first[0], rivals, NOT_FIRST)
    return _Verdict(None, rivals, NOT_DECIDED if first else "")


def _why(pod: Pod, verdict: _Verdict) -> str:
    """Return the reason for refusing `pod`: its own flaw if it has one, because that helps its owner most."""
    flawed = verdict.why != NOT_ITS_OWN and pod.mirror is not None and not is_static(pod)
    return NOT_THE_NODES if flawed else verdict.why


def _certain(pod: Pod, cgroup: PodCgroup | None) -> bool:
    """Return True if only the kubelet, or the owner of the node's files, can have created this mirror pod."""
    return not _created(pod) or _proven(pod, cgroup)


def _proven(pod: Pod, cgroup: PodCgroup | None) -> bool:
    """Return True if the kubelet reports a container of this pod that is in the cgroup."""
    there = cgroup.containers if cgroup else {}
    return any(container_id in there for each in pod.containers for container_id in each.container_ids)


def _plausible(pod: Pod) -> bool:
    """Choose a pod without a proof. A static pod with a uid of the API server's form has to wait for the proof."""
    from_file = not _created(pod)
    return from_file or (is_static(pod) and not _API_UID.fullmatch(pod.cgroup_uid))


def _created(pod: Pod) -> str:
    return pod.mirror.created if pod.mirror else ""


def _least(
    assignment: Assignment,
    verdict: _Verdict,
    assigned: Mapping[str, Assignment],
    cgroup: PodCgroup | None,
    defaults: Defaults,
) -> Assignment:
    """Return the assignment of the winner, raised if nothing proves yet that the winner is the right pod."""
    winner, alone = verdict.winner, len(verdict.rivals) == 1
    if winner is None or winner.uid == winner.cgroup_uid or (alone and _certain(winner, cgroup)):
        return assignment
    rivals = [assigned[pod.uid].priority for pod in verdict.rivals if pod.uid in assigned]
    least = max([defaults.node_critical, *rivals])
    containers = tuple(
        replace(each, priority=least, reason=_UNTIL_PROVEN) if each.priority < least else each
        for each in assignment.containers
    )
    if assignment.priority < least:
        assignment = replace(assignment, priority=least, reason=_UNTIL_PROVEN)
    return replace(assignment, containers=containers, kill_scope=None)


def _refused(assignment: Assignment, refusal: Refusal | None) -> Assignment:
    return replace(assignment, refusals=(refusal, *assignment.refusals)) if refusal else assignment
