# SPDX-License-Identifier: Apache-2.0
"""`oompolicy-trace`: watch the OOM killer of this node until a signal ends it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oompolicy_trace import document, node, offsets, probes
from oompolicy_trace.btf import Btf, BtfError
from oompolicy_trace.screen import Screen
from oompolicy_trace.story import Reader
from oompolicy_trace.tracer import Tracer, TracerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy_trace.document import Document

POLL_MILLISECONDS = 500


class Output(Protocol):
    """A writer of what happens."""

    def start(self, document: Document) -> None:
        """Write what this run can show."""

    def oom(self, document: Document) -> None:
        """Write one OOM."""


class JsonLines:
    """One JSON object a line."""

    def start(self, document: Document) -> None:
        """Write the object of the start."""
        print(json.dumps(document), flush=True)

    oom = start


class Stop:
    """A request to end, by SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(
        prog="oompolicy-trace",
        description="Show every OOM of this node as it happens: each task that the kernel looked at, with priority, "
        "badness and verdict, the one chosen, and the processes killed.",
    )
    words.add_argument("--json", action="store_true", help="print one JSON object a line")
    words.add_argument(
        "--root", type=Path, metavar="DIR", help="the node's file system. Default: /host if it is there, or else /"
    )
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until a signal. Return the exit status."""
    options = parser().parse_args(arguments)
    output: Output = JsonLines() if options.json else Screen()
    stop = Stop()
    try:
        watch(options.root or node.find_root(), output, stop)
    except (BtfError, OSError, TracerError) as error:
        print(f"oompolicy-trace: {error}", file=sys.stderr)
        return 1
    return 0


def watch(root: Path, output: Output, stop: Stop) -> None:
    """Attach, and write each OOM until the stop."""
    warnings = [sentence for sentence in [node.protect_this_process()] if sentence]
    macros = offsets.macros(Btf(node.BTF.read_bytes()))
    with node.KALLSYMS.open() as kallsyms:
        known = probes.symbols(kallsyms)
    pins = root / node.PINS
    tracer = Tracer(macros, pins, known)
    cgroups = node.Cgroups(root)
    output.start(document.started(os.uname().release, tracer.sources, priorities(tracer, pins), warnings))
    reader, lost = Reader(), 0
    while not stop.requested:
        for record in tracer.wait(POLL_MILLISECONDS):
            oom = reader.read(record)
            if oom:
                lost, before = tracer.lost, lost
                output.oom(document.describe(oom, facts(tracer, cgroups, lost - before)))


def priorities(tracer: Tracer, pins: Path) -> str:
    """Say where priorities come from."""
    if tracer.has_priorities:
        return f"the kernel's map {pins}/cgroup_priority, for the nearest cgroup of the task with an entry"
    return f"unknown: {pins} has no map, so no loader of oompolicy attached on this node"


def facts(tracer: Tracer, cgroups: node.Cgroups, lost: int) -> document.Facts:
    """Collect what the records of an OOM do not have."""
    settings = tracer.settings()
    return document.Facts(
        page_size=os.sysconf("SC_PAGESIZE"),
        boot_offset_ns=node.boot_offset_ns(),
        mode=settings.mode if settings else None,
        host_priority=settings.host_priority if settings else None,
        path=cgroups.path,
        lost=lost,
        maps_replaced=tracer.maps_replaced,
    )
