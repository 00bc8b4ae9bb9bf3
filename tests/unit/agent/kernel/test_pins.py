# SPDX-License-Identifier: Apache-2.0
"""An agent can work with the pins of the previous version."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.pins import OpenMaps

if TYPE_CHECKING:
    from oompolicy_agent.kernel.maps import PerCPUCounters


def test_counters_that_an_older_program_lacks_are_left_out() -> None:
    """If the new loader has failed, the node still has the older program and its maps."""
    pins = object.__new__(OpenMaps)
    pins.stats = cast("PerCPUCounters", SimpleNamespace(size=11, sum=lambda stat: 100 + stat))

    assert {stat: 100 + stat for stat in Stat if stat < 11} == pins.counters()
