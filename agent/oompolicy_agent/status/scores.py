# SPDX-License-Identifier: Apache-2.0
"""The state of the scores on a node without the hook, and the conditions and fields that it becomes. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.conditions import condition
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.kernel.attachment import Attachment

ORDER_HOLDS: Final = "OrderHolds"
"""The type of the condition about the order. Its status can change with each look."""

SMALLEST_SHARE: Final = 0.05
"""The margin below which the order is at risk, as a share of the node's memory.

Close to the end of the memory the adjuster looks every 200 ms, and a look takes up to 50 ms. A container that takes a
fifth of the memory per second takes 5 % of it in that time.
"""

_IN_FORCE: Final = (Reason.SCORES_IN_FORCE, Reason.ORDER_CANNOT_HOLD)
_MIB: Final = 1 << 20


class Order(NamedTuple):
    """The quality of the order at the last look, in bytes. `margin` is None while there is no order.

    `unmet` has the priorities that may die too early. `misses` counts the victims that died before a container of a
    lower priority, since the agent started. `margins` are those of single priorities. `scores` has priority and score
    by cgroup id.
    """

    margin: int | None
    total: int
    unmet: tuple[int, ...]
    time: str
    misses: int
    margins: Mapping[int, int] = MappingProxyType({})
    scores: Mapping[int, tuple[int, int]] = MappingProxyType({})


class Scores(NamedTuple):
    """The state of the scores. `message` says what is wrong, or is empty."""

    reason: Reason
    message: str
    order: Order

    @property
    def in_force(self) -> bool:
        """True if the kernel chooses by the scores of the adjuster."""
        return self.reason in _IN_FORCE

    @property
    def working(self) -> bool:
        """True if the adjuster does what the mode asks for."""
        return self.in_force or self.reason in {Reason.AUDIT, Reason.OFF}

    @property
    def problems(self) -> dict[Reason, str | None]:
        """The sentence of each problem that makes the node not ready, or None."""
        kinds = (Reason.ADJUSTER_SILENT, Reason.SCORES_NOT_WRITTEN)
        return {kind: self.message if kind is self.reason else None for kind in kinds}


def enforcing(scores: Scores, attachment: Attachment, words: str | None) -> dict[str, str]:
    """Return the condition Enforcing. `words` say what the mode means, if the node does not enforce because of it."""
    about = words if scores.reason in {Reason.AUDIT, Reason.OFF} else None
    in_force = "the kernel chooses by scores, which have the order of priorities" if scores.in_force else None
    why = f"no hook: {attachment.problem or attachment.message or 'the loader does not say why'}"
    message = "; ".join(filter(None, (about, in_force, scores.message, why)))
    return condition("Enforcing", scores.in_force, scores.reason, message)


def order_holds(order: Order) -> dict[str, str] | None:
    """Return the condition about the order, or None while there is no order."""
    if order.margin is None:
        return None
    if order.unmet:
        priorities = ", ".join(map(str, order.unmet))
        message = f"a container of one of these priorities may die before one of a lower priority: {priorities}"
        return condition(ORDER_HOLDS, False, Reason.ORDER_CANNOT_HOLD, message)
    margin = f"a container that grows by more than {order.margin // _MIB} MiB between two looks of the adjuster"
    if order.margin < SMALLEST_SHARE * order.total:
        message = f"{margin} may die before one of a lower priority; use fewer different priorities on this node"
        return condition(ORDER_HOLDS, False, Reason.MARGIN_SMALL, message)
    return condition(ORDER_HOLDS, True, Reason.ORDER_HOLDS, f"only {margin} could die too early")


def field_of(order: Order) -> dict[str, Any]:
    """Return the field `order` of the status."""
    known = {"marginBytes": order.margin, "misses": order.misses, "time": order.time or None}
    return {name: value for name, value in known.items() if value is not None}
