# SPDX-License-Identifier: Apache-2.0
"""Lay out the result of `preflight`: a table for people, or JSON. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy_agent.loader.preflight.answer import Answer
    from oompolicy_agent.loader.preflight.check import Check

_HEADER: Final = ("CHECK", "FOUND", "VERDICT", "CONSEQUENCE")
_GAP: Final = "   "


def as_table(rows: Sequence[Check], answer: Answer) -> str:
    """Return one line for each check, and the answer as the last line."""
    cells = [(each.name, each.found, each.verdict.value, each.consequence or "-") for each in rows]
    lines = [_HEADER, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (_GAP.join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join([*padded, "", str(answer)])


def as_json(rows: Sequence[Check], answer: Answer, kernel_version: str) -> str:
    """Return the same as one object of JSON."""
    shown: dict[str, Any] = {
        "kernelVersion": kernel_version,
        "order": answer.order.value,
        "because": answer.because,
        "checks": [
            {"name": each.name, "found": each.found, "verdict": each.verdict.value, "consequence": each.consequence}
            for each in rows
        ],
    }
    return json.dumps(shown, indent=2)
