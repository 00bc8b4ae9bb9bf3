# SPDX-License-Identifier: Apache-2.0
"""The rules for a Lease (coordination.k8s.io/v1), without I/O. They are those of client-go's tools/leaderelection.

The clocks of two machines are never compared. A Lease has expired when this process has seen no change of its spec for
the duration that the spec gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oompolicy.timestamps import api_micro_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """A Lease as it was read. Its spec is unchanged since `since`, in seconds of a monotonic clock."""

    raw: Mapping[str, Any]
    since: float

    @property
    def spec(self) -> Mapping[str, Any]:
        """The spec. It is empty if the Lease was created without a spec."""
        return self.raw.get("spec") or {}

    @property
    def holder(self) -> str:
        """The holder's identity. It is empty if the Lease was released."""
        return self.spec.get("holderIdentity") or ""

    def free(self, now: float) -> bool:
        """Return True if any operator may take the Lease."""
        return not self.holder or now >= self.since + (self.spec.get("leaseDurationSeconds") or 0)


def observe(raw: Mapping[str, Any], before: Observed | None, now: float) -> Observed:
    """Return the Lease `raw`, read at `now`. It keeps the time of `before` if the spec is the same."""
    read = Observed(raw, now)
    return Observed(raw, before.since) if before and before.spec == read.spec else read


def taken(before: Mapping[str, Any], identity: str, duration: float, now: datetime) -> dict[str, Any]:
    """Return the spec of a Lease that `identity` takes. `before` is empty for a new Lease. `duration` is in seconds."""
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": round(duration),
        "acquireTime": api_micro_time(now),
        "renewTime": api_micro_time(now),
        "leaseTransitions": (before.get("leaseTransitions") or 0) + 1 if before else 0,
    }


def renewed(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the spec of a Lease that its holder renews."""
    return {**spec, "renewTime": api_micro_time(now)}


def released(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the spec of a Lease that its holder releases."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": api_micro_time(now)}
