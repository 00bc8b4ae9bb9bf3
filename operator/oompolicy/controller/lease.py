# SPDX-License-Identifier: Apache-2.0
"""What to do about a Lease (coordination.k8s.io/v1): pure, after client-go's tools/leaderelection.

Another's clock is never compared with ours: a Lease has expired when we have seen no change of it for as long as its
holder said that it would last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Observed:
    """A Lease as it was read, and since when (seconds of a monotonic clock) its spec is as it is."""

    raw: Mapping[str, Any]
    since: float

    @property
    def spec(self) -> Mapping[str, Any]:
        """Empty where somebody made a Lease without one."""
        return self.raw.get("spec") or {}

    @property
    def holder(self) -> str:
        """Empty where it was released."""
        return self.spec.get("holderIdentity") or ""

    def free(self, now: float) -> bool:
        """Whether anybody may take it."""
        return not self.holder or now >= self.since + (self.spec.get("leaseDurationSeconds") or 0)


def observe(raw: Mapping[str, Any], before: Observed | None, now: float) -> Observed:
    """`raw` was read at `now`."""
    read = Observed(raw, now)
    return Observed(raw, before.since) if before and before.spec == read.spec else read


def taken(before: Mapping[str, Any], identity: str, duration: float, now: datetime) -> dict[str, Any]:
    """The spec of a Lease that `identity` takes; `before` is empty for a new one. `duration` in seconds."""
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": round(duration),
        "acquireTime": _micro_time(now),
        "renewTime": _micro_time(now),
        "leaseTransitions": (before.get("leaseTransitions") or 0) + 1 if before else 0,
    }


def renewed(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The spec of a Lease that its holder keeps."""
    return {**spec, "renewTime": _micro_time(now)}


def released(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The spec of a Lease that its holder leaves to anybody."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(now)}


def _micro_time(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
