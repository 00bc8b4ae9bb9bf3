# SPDX-License-Identifier: Apache-2.0
"""The output for a person: a table for each OOM, in colour on a terminal. Pure, except for `Screen`."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from oompolicy_trace.document import Document

MIB: Final = 1 << 20
HEADER: Final = ("", "PID", "COMM", "CGROUP", "PRIORITY", "MEMORY", "ADJ", "BADNESS", "ANSWER", "VERDICT", "REASON")
STYLES: Final = {"K": "bold red", "C": "bold yellow", "BestSoFar": "yellow", "NotKillable": "dim", "EndedScan": "cyan"}
"""The styles of a row by its mark, or else by its verdict."""
SEGMENTS: Final = 2
"""The last segments of a cgroup's path that a table has room for: pod and container."""
LONG_NAME: Final = 28


def headline(document: Document) -> str:
    """Return the first line of an OOM."""
    scope, trigger = document["scope"], document["trigger"]
    places = {"Node": "the whole node", "NumaNodes": "some NUMA nodes"}
    place = places.get(scope["type"]) or f"cgroup {scope['cgroup'] or scope['cgroupId']}"
    mode = f", mode {document['mode']}" if document["mode"] else ""
    who = f"{trigger['comm']} ({trigger['pid']})" if trigger else "an unknown task"
    total = f", {mib(document['totalBytes'])}" if document["totalBytes"] else ""
    return f"OOM {document['number']} at {document['time']}: {place}{total}{mode}. {who} asked for memory"


def rows(document: Document) -> list[tuple[str, ...]]:
    """Return the cells of each task, in the order in which the kernel looked at them."""
    killed = {each["pid"] for each in document["killed"]}
    chosen = document["chosen"]["pid"] if document["chosen"] else None
    return [row(each, killed, chosen) for each in document["tasks"]]


def row(task: Document, killed: set[int], chosen: int | None) -> tuple[str, ...]:
    """Return the cells of a task. The mark is C for the one chosen, and K for one that was killed."""
    mark = ("C" if task["pid"] == chosen else "") + ("K" if task["pid"] in killed else "")
    guessed = {"Computed": "~"}.get(task["badnessSource"], "")
    host = "*" if task["prioritySource"] == "HostPriority" else ""
    return (
        mark,
        str(task["pid"]),
        task["comm"],
        place(task["cgroup"]),
        shown(task["priority"]) + host,
        mib(task["memoryBytes"]),
        str(task["oomScoreAdj"]),
        guessed + shown(task["badness"]),
        task["answer"] or "-",
        task["verdict"],
        task["reason"],
    )


def place(path: str) -> str:
    """Return the end of a cgroup's path, with long ids cut."""
    names = path.strip("/").split("/")[-SEGMENTS:]
    return "/".join(name if len(name) <= LONG_NAME else f"{name[: LONG_NAME - 1]}…" for name in names) or "/"


def shown(value: int | None) -> str:
    """Return a number, or a dash if it is not known."""
    return "-" if value is None else str(value)


def mib(value: int | None) -> str:
    """Return bytes in MiB."""
    return "-" if value is None else f"{value / MIB:.1f} MiB"


def ending(document: Document) -> list[str]:
    """Return the lines below the table: the choice, the dead, the time, and what is missing."""
    chosen, micros = document["chosen"], document["durationMicroseconds"]
    lines = [f"chosen: {name(chosen)}" if chosen else "chosen: no task"]
    lines += [f"killed: {name(each)}: {each['reason']}" for each in document["killed"]]
    lines += [f"dying already, not killed again: {name(each)}" for each in document["alreadyDying"]]
    if not document["killed"]:
        lines.append("killed: no process")
    took = "an unknown time" if micros is None else f"{micros / 1000:.1f} ms"
    lines.append(f"took {took}. {len(document['tasks'])} tasks, and {document['kernelThreads']} kernel threads")
    if document["lostRecords"]:
        lines.append(f"{document['lostRecords']} records did not fit into the buffer: tasks are missing above")
    if document["mapsReplaced"]:
        lines.append("oompolicy's maps were replaced since this tool started: restart it to see priorities")
    return lines


def name(process: Document) -> str:
    """Return a process with its cgroup and priority."""
    priority = "" if process["priority"] is None else f", priority {process['priority']}"
    return f"{process['comm']} ({process['pid']}) in {process['cgroup'] or '/'}{priority}"


def start_lines(document: Document) -> list[str]:
    """Return the lines at the start: what comes from where, and what cannot be shown."""
    lines = [f"kernel {document['kernel']}"]
    for source in document["sources"]:
        if not source["problem"]:
            lines.append(f"{source['from']}: {source['shows']}")
        elif source["attached"]:
            lines.append(f"{source['from']}: {source['problem']}. Then {source['consequence']}")
        else:
            lines.append(f"{source['from']}: not watched: {source['problem']}. {sentence(source['consequence'])}")
    return [*lines, f"priorities: {document['priorities']}", *document["warnings"]]


def sentence(text: str) -> str:
    """Begin with a capital."""
    return text[:1].upper() + text[1:]


def style(cells: tuple[str, ...]) -> str:
    """Return the style of a row."""
    for key in ("K", "C"):
        if key in cells[0]:
            return STYLES[key]
    return STYLES.get(cells[-2], "")


def plain_table(lines: list[tuple[str, ...]]) -> list[str]:
    """Return the table as text, with aligned columns."""
    everything = [HEADER, *lines]
    widths = [max(len(cells[column]) for cells in everything) for column in range(len(HEADER))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in everything
    ]


class Screen:
    """The terminal. It has colours if rich is installed, and if the output is a terminal (rich obeys NO_COLOR)."""

    def __init__(self) -> None:
        self._console: Any = None
        if importlib.util.find_spec("rich") and sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415 (rich is optional)

            self._console = Console(highlight=False)

    def start(self, document: Document) -> None:
        """Print what this run can show."""
        print(*start_lines(document), "waiting for an OOM. Ctrl-C ends", sep="\n", flush=True)

    def oom(self, document: Document) -> None:
        """Print one OOM."""
        if self._console is None:
            print(headline(document), *plain_table(rows(document)), *ending(document), "", sep="\n", flush=True)
            return
        from rich.table import Table  # noqa: PLC0415 (rich is optional)
        from rich.text import Text  # noqa: PLC0415

        table = Table(*HEADER, box=None, pad_edge=False)
        for cells in rows(document):
            # A process gives itself its name, so a name is text and never markup.
            table.add_row(*(Text(cell) for cell in cells), style=style(cells))
        self._console.print(Text(headline(document), style="bold"))
        self._console.print(table)
        for line in ending(document):
            self._console.print(Text(line, style="bold red" if line.startswith("killed") else ""))
        self._console.print()
