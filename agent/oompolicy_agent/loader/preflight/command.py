# SPDX-License-Identifier: Apache-2.0
"""Run the verb `preflight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.loader.preflight.answer import answer
from oompolicy_agent.loader.preflight.checks import checks
from oompolicy_agent.loader.preflight.collect import collect
from oompolicy_agent.loader.preflight.show import as_json, as_table

if TYPE_CHECKING:
    from oompolicy_agent.loader.settings import Settings


def preflight(settings: Settings) -> str:
    """Return the text to print, for people or as JSON."""
    facts = collect(settings)
    rows = checks(facts)
    found = answer(facts, rows)
    if settings.output == "json":
        return as_json(rows, found, facts.node.kernel_version)
    return as_table(rows, found)
