# SPDX-License-Identifier: Apache-2.0
"""The answers on top of docs/benchmarks.md, made from the tables of the page and of docs/campaign.md. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks import ratios, tables
from benchmarks.report import TITLES
from benchmarks.tables import PageError, total

if TYPE_CHECKING:
    from benchmarks.tables import Place, Row

PAGE: Final = "docs/benchmarks.md"
CAMPAIGN: Final = "docs/campaign.md"
BUSY: Final = re.compile(r"\b[Tt]his run\b[^.]*\bbusy\b|\bmachine was too busy\b")
"""Sentences of a section or its result about other load on the machine."""


@dataclass(frozen=True)
class Answer:
    """A row on top of the page."""

    question: str
    answer: str
    command: str
    link: str

    def row(self) -> str:
        """Return the row of the table."""
        return f"| {self.question} | {self.answer} | [`{self.command}`]({self.link}) |"


def render(document: str, campaign: str) -> str:
    """Return the table of all answers."""
    at = partial(tables.place, PAGE, document)
    answers = [
        victims(tables.place(CAMPAIGN, campaign, "campaign")),
        selection(at("trixie instructions")),
        surplus(at("surplus")),
        label_to_map(at("path")),
        kill_to_event(at("path")),
        label_to_score(at("adjuster")),
        agent(at("realnode")),
        adjuster(at("adjuster")),
        growth(at("race")),
        operator(at("cluster")),
        watches(at("cluster")),
        images(at("images")),
    ]
    return "\n".join(
        ["| question | answer | measure it again |", "|---|---|---|", *(answer.row() for answer in answers)]
    )


def victims(place: Place) -> Answer:
    """Return the number of OOMs of the campaign and of wrong victims."""
    rows = place.table("backend", "OOMs", "wrong").rows
    scores = [row for row in rows if row["backend"] == "scores"]
    hook = [row for row in rows if row["backend"] != "scores"]
    planned, lost = place.find(r"of ([\d,]+) OOMs are done")[1], place.text.count(", did not end: ")
    ended = f"Rounds that did not end: {lost}." if lost else "Every round ended."
    return Answer(
        "How many victims were wrong in random OOMs?",
        f"With the hook, {total(hook, 'wrong'):,} in {total(hook, 'OOMs'):,} OOMs. "
        f"With scores, {total(scores, 'wrong'):,} in {total(scores, 'OOMs'):,} OOMs. {ended} "
        f"{total(rows, 'OOMs'):,} of the planned {planned} OOMs are done.",
        "make campaign",
        "campaign.md",
    )


def selection(place: Place) -> Answer:
    """Return the ratios of instructions."""
    found, ours = ratios.read(place), TITLES["ours"]
    node, limit = ((found.of_bare[scope][ours], found.of_sample[scope][ours]) for scope in ("node", "limit"))
    return Answer(
        "What does a kill cost with the policy?",
        f"Selecting the victim among {found.tasks} tasks takes {node[0]:.2f} times the instructions of the bare kernel "
        f"on the whole node, and {limit[0]:.2f} times in a limit. Compared with the RFC's sample policy, it takes "
        f"{node[1]:.2f} and {limit[1]:.2f} times the instructions. An emulator counted them.",
        "python3 -m benchmarks --clock instructions",
        place.anchor,
    )


def surplus(place: Place) -> Answer:
    """Return the numbers of kills beyond need."""
    rows = [row for table in place.tables("", "OOMs", "kills beyond need") for row in table.rows]
    bare, ours = ([row for row in rows if row[""] == name] for name in ("bare kernel", "oompolicy"))
    column = "kills beyond need"
    answer = (
        f"The bare kernel made {total(bare, column):,} kills beyond need in {total(bare, 'OOMs'):,} OOMs, and "
        f"oompolicy {total(ours, column):,} in {total(ours, 'OOMs'):,}.{setting(place)}"
    )
    return Answer(
        "How often does the kernel kill more than the shortage needs?",
        answer if rows else "There is no result yet.",
        "make bench-surplus",
        place.anchor,
    )


def label_to_map(place: Place) -> Answer:
    """Return the time from a label to the map of the kernel."""
    row = place.table("ms", "times", "median", "p99", "slowest").row("label change to map entry")
    return Answer(
        "How long does it take from a changed label to the kernel's map?",
        spread(row, place),
        "make bench-path",
        place.anchor,
    )


def kill_to_event(place: Place) -> Answer:
    """Return the time from a kill to the Event."""
    row = place.table("ms", "times", "median", "p99", "slowest").row("kill to readable Event")
    return Answer(
        "How long does it take from a kill to its Event?", spread(row, place), "make bench-path", place.anchor
    )


def spread(row: Row, place: Place) -> str:
    """Return the distribution of a time."""
    return f"Median {row['median']} ms, p99 {row['p99']} ms, slowest {row['slowest']} ms.{setting(place)}"


def label_to_score(place: Place) -> Answer:
    """Return the time from a label to the scores of a node without the hook."""
    table = place.table("the adjuster", "found", "goal")
    start = "from a label to its score"
    middle, high, divided = (
        table.row(start),
        table.below(start, "the same, p99, ms"),
        table.below(start, "the same, p99, divided"),
    )
    return Answer(
        "How long does it take from a changed label to the score on a node without the hook?",
        f"Median {middle['found']} ms, p99 {high['found']} ms.{missed(high, ' ms')} {factor(divided)}, the p99 is "
        f"{divided['found']} ms. The time from the API server to the agent is not included.{setting(place)}",
        "make bench-adjuster",
        place.anchor,
    )


def agent(place: Place) -> Answer:
    """Return memory and CPU of the agent."""
    return usage(place, "agent", "make bench-realnode")


def adjuster(place: Place) -> Answer:
    """Return memory and CPU of the adjuster."""
    return usage(place, "adjuster", "make bench-adjuster")


def usage(place: Place, program: str, command: str) -> Answer:
    """Return memory and CPU of a program on a node."""
    table = place.table(f"the {program}", "found", "goal")
    memory, cpu = table.row("private memory, MiB"), table.row("CPU without changes, % of a core")
    divided = table.below("CPU without changes", "the same, divided")
    return Answer(
        f"What does the {program} need on a node with {place.find(r'([0-9,]+) pods')[1]} pods?",
        f"{memory['found']} MiB of private memory.{missed(memory, ' MiB')} Without changes, {cpu['found']} % of a core "
        f"of the guest. {factor(divided)}, this is {divided['found']} %.{missed(divided, ' %')}{setting(place)}",
        command,
        place.anchor,
    )


def factor(row: Row) -> str:
    """Return the words for a figure that is divided by the slowness of the guest."""
    return f"Divided by the guest's factor of {row.name.rpartition('divided by ')[2].removesuffix(', ms')}"


def growth(place: Place) -> Answer:
    """Return the share of right victims by measured growth."""
    rows = place.table("growth per second", "measured", "between two looks", "races", "right", "third").rows
    own = [row for row in rows if row["between two looks"] == "the adjuster's own"]
    if not own:
        raise PageError(f"{place.where}: the table has no race at the adjuster's own pace")
    parts = []
    for asked in dict.fromkeys(row["growth per second"] for row in own):
        some = [row for row in own if row["growth per second"] == asked]
        low, high = (pick(row.number("measured") for row in some) for pick in (min, max))
        pace = f"{low:.1f} %" if low == high else f"{low:.1f} to {high:.1f} %"
        parts.append(f"{total(some, 'right'):,} of {total(some, 'races'):,} at {pace}")
    goal = place.find(r"Goal of (at least \S+) right victims at (\S+ %) per second[^:]*: (reached|missed)")
    third = total(rows, "third")
    return Answer(
        "How fast may a container grow on a node with scores?",
        f"Right victims by growth, in per cent of the node's memory per second: {', '.join(parts)}. "
        f"{f'A third container died in {third:,} races' if third else 'No third container died'}. "
        f"The goal of {goal[1]} right victims at {goal[2]} is {goal[3]}.{setting(place)}",
        "make bench-race",
        place.anchor,
    )


def operator(place: Place) -> Answer:
    """Return the needs of the operator with the largest number of pods."""
    start = most_pods(place.table("pods", "ready, s", "CPU, s", "highest RSS, MiB").rows)
    churn = most_pods(place.table("pods", "changes/s", "CPU, % of a core", "p99, s", "RSS, MiB").rows)
    memory = max(start.number("highest RSS, MiB"), churn.number("RSS, MiB"))
    return Answer(
        f"What does the operator need with {start['pods']} pods?",
        f"It is ready after {start['ready, s']} s, with {start['CPU, s']} s of CPU. With {churn['changes/s']} changes "
        f"per second it takes {churn['CPU, % of a core']} % of a core, and a change is counted within "
        f"{churn['p99, s']} s (p99). It takes at most {memory:.0f} MiB of memory.{setting(place)}",
        "make bench-cluster",
        place.anchor,
    )


def watches(place: Place) -> Answer:
    """Return the cost of the agents for the API server with the largest number of pods."""
    row = most_pods(place.table("pods", "agents", "to connect, CPU s").rows)
    cost = place.find(r"In proportion, ([\d,]+) agents cost the API server (.+)\.")
    return Answer(
        f"What do {cost[1]} agents cost the API server with {row['pods']} pods?",
        f"{cost[2]}. The measurement had {row['agents']} agents, and these figures are in proportion.{setting(place)}",
        "make bench-cluster",
        place.anchor,
    )


def most_pods(rows: tuple[Row, ...]) -> Row:
    """Return the row with the largest number of pods."""
    return max(rows, key=lambda row: row.number("pods"))


def images(place: Place) -> Answer:
    """Return the sizes of the images."""
    rows = place.table("image", "to fetch, MB", "on disk, MB").rows
    sizes = [f"{row['image']}: {row['to fetch, MB']} MB to fetch, {row['on disk, MB']} MB on disk." for row in rows]
    return Answer("How big are the images?", " ".join(sizes), "make bench-images", place.anchor)


def missed(row: Row, unit: str) -> str:
    """Return a sentence about a goal that is missed."""
    goal, _, word = row["goal"].partition(": ")
    return f" The goal of {goal}{unit} is missed." if word == "missed" else ""


def setting(place: Place) -> str:
    """Return a sentence about an emulated processor and a busy machine."""
    parts = ["an emulated processor"] if "software emulation" in place.text else []
    parts += ["a busy machine"] if BUSY.search(place.section) else []
    return f" Measured on {' and '.join(parts)}." if parts else ""
