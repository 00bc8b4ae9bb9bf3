# SPDX-License-Identifier: Apache-2.0
"""Make tables of a document from samples. Pure."""

from __future__ import annotations

import statistics
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.clocks import Clock
    from benchmarks.machine import Machine
    from benchmarks.samples import Answers, Run, Sample

TITLES: Final = {
    "bare": "bare kernel",
    "hook": "hook, no program",
    "sample": "hook, the RFC's sample",
    "ours": "hook, oompolicy",
}
ACCELS: Final = {"tcg": "software emulation (TCG)", "kvm": "KVM"}
GOALS: Final = (("bare", 1.25), ("sample", 1.0))
"""The largest ratios of oompolicy's median to that of another variant."""


def render(run: Run, machine: Machine, clock: Clock) -> str:
    """Return the text of one run."""
    groups = [(key, list(some)) for key, some in groupby(sorted(run.samples, key=by_case), key=by_case)]
    parts = [heading(run, machine), *(section(*key, some, clock) for key, some in groups), calls_table(run.answers)]
    return "\n\n".join(parts) + "\n"


def by_case(sample: Sample) -> tuple[int, str]:
    """Return the key of the samples that are compared with each other."""
    return sample.tasks, sample.scope


def heading(run: Run, machine: Machine) -> str:
    """Return a sentence about the machine and the date."""
    return (
        f"Kernel {run.kernel}, {machine.date}, {machine.processor}, {machine.cores} cores, "
        f"QEMU {machine.qemu} with {ACCELS.get(machine.accel, machine.accel)}, "
        f"a guest of {machine.cpus} CPU and {machine.memory} MiB."
    )


def section(tasks: int, scope: str, samples: list[Sample], clock: Clock) -> str:
    """Return the table of one case, and the goals."""
    by_variant = {name: [one for one in samples if one.variant == name] for name in TITLES}
    lines = [
        f"{tasks:,} tasks, scope `{scope}`:",
        "",
        f"| | OOMs | median, {clock.unit} | quartiles | of bare | of the sample |",
        "|---|---|---|---|---|---|",
        *(row(name, by_variant, clock) for name in TITLES),
        "",
        " ".join(goal(other, limit, by_variant) for other, limit in GOALS),
    ]
    return "\n".join(lines)


def row(name: str, by_variant: dict[str, list[Sample]], clock: Clock) -> str:
    """Return the row of one variant."""
    times = [one.ns / clock.per_unit for one in by_variant[name]]
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    ratios = [ratio(by_variant[name], by_variant[other]) if other != name else "1" for other, _ in GOALS]
    cells = [TITLES[name], str(len(times)), f"{middle:.2f}", f"{low:.2f} to {high:.2f}", *ratios]
    return f"| {' | '.join(cells)} |"


def ratio(some: list[Sample], others: list[Sample]) -> str:
    """Return the ratio of the medians, and in brackets the lowest and highest ratio of a round."""
    rounds = sorted({one.round for one in some})
    own = [quotient(of_round(some, number), of_round(others, number)) for number in rounds]
    return f"{quotient(some, others):.2f} ({min(own):.2f} to {max(own):.2f})"


def of_round(samples: list[Sample], number: int) -> list[Sample]:
    """Return the samples of one round."""
    return [one for one in samples if one.round == number]


def quotient(some: list[Sample], others: list[Sample]) -> float:
    """Return the ratio of the medians."""
    return median_ns(some) / median_ns(others)


def median_ns(samples: list[Sample]) -> float:
    """Return the median of the samples."""
    return statistics.median(one.ns for one in samples)


def goal(other: str, limit: float, by_variant: dict[str, list[Sample]]) -> str:
    """Return a sentence that says whether the goal is reached."""
    found = quotient(by_variant["ours"], by_variant[other])
    verdict = "reached" if found <= limit else "missed"
    return f"Goal of at most {limit:.2f} of {TITLES[other].removeprefix('hook, ')}: {verdict} ({found:.2f})."


def calls_table(answers: Iterable[Answers]) -> str:
    """Return the table of the calls of oompolicy's program and its answers."""
    lines = [
        "Calls of the program and its answers, per selection:",
        "",
        "| tasks | scope | asked | SELECT | NEXT | NO_BPF_POLICY |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.tasks:,} | `{one.scope}` | {one.asked:,} | {one.select:,} | {one.next:,} | {one.no_policy:,} |"
        for one in answers
    ]
    return "\n".join(lines)
