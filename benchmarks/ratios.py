# SPDX-License-Identifier: Apache-2.0
"""The instructions of a selection in proportion to other kernels, read from the page. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.report import TITLES
from benchmarks.tables import PageError

if TYPE_CHECKING:
    from benchmarks.tables import Place

SCOPES: Final = {"node": "The whole node", "limit": "A limit"}
CAPTION: Final = re.compile(r"([\d,]+) tasks, scope `(\w+)`:")


@dataclass(frozen=True)
class Ratios:
    """The ratios of the medians for the largest number of tasks, by scope and title of a variant."""

    tasks: str
    kernel: str
    date: str
    of_bare: dict[str, dict[str, float]]
    of_sample: dict[str, dict[str, float]]


def read(place: Place) -> Ratios:
    """Read the tables of both scopes for the largest number of tasks."""
    found = {}
    for table in place.tables("of bare", "of the sample"):
        if case := CAPTION.fullmatch(table.caption):
            found[int(case[1].replace(",", "")), case[2]] = table
    tasks = max((tasks for tasks, _ in found), default=0)
    if missing := [scope for scope in SCOPES if (tasks, scope) not in found]:
        raise PageError(f"{place.where}: there is no table of {tasks:,} tasks with the scope {' and '.join(missing)}")
    head = place.find(r"Kernel (\S+), ([\d-]+), ")
    by_column = {
        column: {
            scope: {title: found[tasks, scope].row(title).number(column) for title in TITLES.values()}
            for scope in SCOPES
        }
        for column in ("of bare", "of the sample")
    }
    return Ratios(f"{tasks:,}", head[1], head[2], by_column["of bare"], by_column["of the sample"])
