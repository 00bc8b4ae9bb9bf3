# SPDX-License-Identifier: Apache-2.0
"""Make the tables of docs/campaign.md from results. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from campaign.plan import TARGETS
from tests.node.scene import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from campaign.results import Result

BACKENDS = {"module": "hook in a module", "kernel": "hook in the kernel", "scores": "scores"}


def render(results: Iterable[Result], total: int) -> str:
    """Return the text of all results: the sum, the table, and each wrong OOM and failed round."""
    everything = list(results)
    ended = _last_of_each(result for result in everything if not result.failure)
    failed = [result for result in everything if result.failure]
    return "\n\n".join([summary(ended, total), table(ended), faults(ended, failed)]) + "\n"


def _last_of_each(results: Iterable[Result]) -> list[Result]:
    """Return one result for each round. A repeated round counts once."""
    return list({result.round.name: result for result in results}.values())


def summary(ended: Sequence[Result], total: int) -> str:
    """Return a sentence with the sums."""
    ooms = sum(result.round.ooms for result in ended)
    kills = sum(result.found.kills for result in ended)
    wrong = sum(len(result.found.wrong) for result in ended)
    dates = sorted({result.date for result in ended})
    hours = sum(result.seconds for result in ended) / 3600
    times = f", {dates[0]} to {dates[-1]}, {hours:.1f} hours" if dates else ""
    return (
        f"**{ooms:,} of {total:,} OOMs are done, with {kills:,} victims. Wrong: {wrong}.** {len(ended)} rounds{times}."
    )


def table(ended: Iterable[Result]) -> str:
    """Return the table by backend, kernel and variant, in the order of the plan."""
    places = {target: number for number, target in enumerate(TARGETS)}
    variants = {name: number for number, name in enumerate(VARIANTS)}

    def key(result: Result) -> tuple[int, str, int]:
        one = result.round
        return places[one.kernel, one.backend], result.found.release, variants[one.variant]

    groups = groupby(sorted(ended, key=key), key=key)
    head = (
        "| backend | kernel | variant | OOMs | victims | wrong | rounds | commits |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_row(list(group)) for _, group in groups)])


def _row(group: Sequence[Result]) -> str:
    one = group[0].round
    seeds = sorted(result.round.seed for result in group)
    cells = (
        BACKENDS[one.backend],
        f"{group[0].found.release}",
        f"`{one.variant}`",
        f"{sum(result.round.ooms for result in group):,}",
        f"{sum(result.found.kills for result in group):,}",
        sum(len(result.found.wrong) for result in group),
        f"`{one.kernel}/{one.backend}/{one.variant}/` {ranges(seeds)}",
        ", ".join(sorted({result.commit for result in group})),
    )
    return f"| {' | '.join(map(str, cells))} |"


def ranges(seeds: Sequence[int]) -> str:
    """Return seeds in ascending order as ranges: `1 to 3, 5`."""
    parts = []
    for _, some in groupby(enumerate(seeds), key=lambda each: each[1] - each[0]):
        run = [seed for _, seed in some]
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}")
    return ", ".join(parts)


def reason(failure: str) -> str:
    """Return the sentence of a failure, without the console or the kernel's log that follows it."""
    return failure.splitlines()[0].removesuffix("; the console ends with:").removesuffix(":")


def faults(ended: Iterable[Result], failed: Iterable[Result]) -> str:
    """Return a line for each wrong OOM and each round that failed."""
    lines = [
        f"- `{result.round.name}`, OOM {wrong.oom}, {result.found.release}, {result.commit}: {wrong.difference}"
        for result in ended
        for wrong in result.found.wrong
    ]
    lines += [
        f"- `{result.round.name}`, {result.date}, {result.commit}, did not end: {reason(result.failure)}"
        for result in failed
    ]
    return "\n".join(lines) or "No victim was wrong, and every round ended."
