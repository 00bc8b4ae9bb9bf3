# SPDX-License-Identifier: Apache-2.0
"""The chart's dashboard: panels, their expressions, and the color of a tile."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.cluster.chart.helm import CHART
from tests.cluster.chart.scrapes import Scrapes

RATE_INTERVAL = f"{4 * Scrapes.INTERVAL}s"
"""The value of `$__rate_interval` in a panel with one scrape as the smallest step: Grafana takes four steps."""


@dataclass(frozen=True)
class Panel:
    """One panel, as Grafana reads it."""

    raw: dict[str, Any]

    @property
    def title(self) -> str:
        """The title, by which the tests know it."""
        return str(self.raw["title"])

    @property
    def expressions(self) -> list[str]:
        """The expressions of all its queries, with a value for Grafana's variable."""
        return [each["expr"].replace("$__rate_interval", RATE_INTERVAL) for each in self.raw.get("targets", ())]

    @property
    def shown(self) -> str:
        """The only expression of a tile, rounded as the tile shows its value."""
        (expression,) = self.expressions
        decimals = self.raw["fieldConfig"]["defaults"].get("decimals")
        return expression if decimals is None else f"round({expression}, 1e-{decimals})"

    def color(self, value: float) -> str:
        """Return the color of the last step that the value reaches."""
        first, *others = self.raw["fieldConfig"]["defaults"]["thresholds"]["steps"]
        reached = [first, *(each for each in others if value >= each["value"])]
        return str(reached[-1]["color"])


def panels() -> dict[str, Panel]:
    """Return all panels by title, in the order of the page, without the rows."""
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    return {raw["title"]: Panel(raw) for raw in dashboard["panels"] if raw["type"] != "row"}
