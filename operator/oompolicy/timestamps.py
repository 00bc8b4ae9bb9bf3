# SPDX-License-Identifier: Apache-2.0
"""Formats points in time as the Kubernetes API does. Every time is in UTC."""

from datetime import UTC, datetime


def api_time(moment: datetime) -> str:
    """Return the time as a metav1.Time, which has whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def api_micro_time(moment: datetime) -> str:
    """Return the time as a metav1.MicroTime, which has six digits after the seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
