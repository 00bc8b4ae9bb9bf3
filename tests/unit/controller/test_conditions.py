# SPDX-License-Identifier: Apache-2.0
"""A condition keeps its time of transition only if it is a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oompolicy.conditions import condition, transition_time

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
READY = condition("Ready", True, "Valid", "the policy is valid")


@pytest.mark.parametrize("before", ["", None, [], [[1]], {}])
def test_a_forged_time_is_replaced(before: object) -> None:
    """Kubernetes accepts a list in place of a time that has a format. As a text, it would refuse the list."""
    assert "2026-11-28T12:00:00Z" == transition_time(READY, {**READY, "lastTransitionTime": before}, NOW)


def test_a_time_stays_with_its_status() -> None:
    """Another status is a transition."""
    before = {**READY, "lastTransitionTime": "2026-01-01T00:00:00Z"}

    assert "2026-01-01T00:00:00Z" == transition_time(READY, before, NOW)
    assert "2026-11-28T12:00:00Z" == transition_time(READY, {**before, "status": "False"}, NOW)
