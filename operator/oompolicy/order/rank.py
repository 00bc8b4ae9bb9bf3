# SPDX-License-Identifier: Apache-2.0
"""Rank the containers of a node: by the policies, and as the kernel alone would. Pure.

The kernel compares single processes, and the facts are about whole containers. So ranks are exact between priorities,
and within a priority as far as each container has one large process.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from oompolicy.oomsettings import TieBreak
from oompolicy.order.facts import NodeFacts, Running

NODE: Final = "node"
KUBEPODS: Final = "kubepods"
POD: Final = "pod/"

_PAGE: Final = 4096
"""Bytes of a page. The kernel divides a scope into thousandths of whole pages, so another size changes little."""
_SCORES_ONLY: Final = "OOMScoreAdj"
"""The backend that orders containers by priority and memory alone. Scores know neither requests nor a minimum."""

Order = Callable[[Running], tuple[float, ...]]


class Ranked(NamedTuple):
    """A container with its numbers, which begin at 1. `kernel` is None if the memory is not known."""

    number: int
    container: Running
    kernel: int | None


def ranked(facts: NodeFacts, scope: str) -> list[Ranked]:
    """Return the containers of a scope (`node`, `kubepods` or `pod/NAMESPACE/NAME`), the one that dies next first."""
    inside = [each for each in facts.containers if not scope.startswith(POD) or scope == name_of_pod(each)]
    step = _step(facts, scope)
    of_kernel = {each: rank for rank, each in enumerate(_by_kernel(inside, step), 1)}
    chosen = sorted(inside, key=_policy_order(facts, step))
    return [Ranked(number, each, of_kernel.get(each)) for number, each in enumerate(chosen, 1)]


def name_of_pod(container: Running) -> str:
    """Return the pod as kubectl's `-o name` would, with its namespace."""
    return f"{POD}{container.namespace}/{container.pod}"


def passed_over(container: Running, facts: NodeFacts) -> bool:
    """Return True if a kill of the container frees less than the minimum, so that larger ones die before it."""
    if facts.backend == _SCORES_ONLY:
        return False
    freed = container.usage if container.pod_usage is None else container.pod_usage
    return freed is not None and freed < facts.minimum_victim_memory and container.priority < facts.host_priority


def has_margins(facts: NodeFacts, scope: str) -> bool:
    """Return True if the order comes from scores, which have a margin. It does not count within the limit of a pod."""
    return facts.backend == _SCORES_ONLY and not scope.startswith(POD)


def _policy_order(facts: NodeFacts, step: int) -> Order:
    """Return the order of the rules in bpf/policy.bpf.h, or of the adjuster's scores."""
    scores = facts.backend == _SCORES_ONLY

    def key(each: Running) -> tuple[float, ...]:
        after_host = each.priority >= facts.host_priority
        group = 2 if after_host else 1 if passed_over(each, facts) else 0
        by_request = facts.tie_break == TieBreak.MOST_OVER_REQUEST and not after_host and not scores
        over = (each.usage or 0) - each.memory_request if by_request else 0
        size = (each.memory or 0) if scores else _badness(each, step)
        return group, each.priority, -over, -size

    return key


def _by_kernel(containers: Sequence[Running], step: int) -> list[Running]:
    """Return the containers with known memory, the one with the largest badness first."""
    known = [each for each in containers if each.memory is not None and each.score is not None]
    return sorted(known, key=lambda each: -_badness(each, step))


def _badness(container: Running, step: int) -> int:
    return (container.memory or 0) + (container.score or 0) * step


def _step(facts: NodeFacts, scope: str) -> int:
    """Return the bytes that one step of oom_score_adj is worth. A scope without a limit has that of the one above."""
    for name in (scope, KUBEPODS, NODE) if scope != NODE else (NODE,):
        if name in facts.totals:
            return facts.totals[name] // _PAGE // 1000 * _PAGE
    return 0
