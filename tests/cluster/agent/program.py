# SPDX-License-Identifier: Apache-2.0
"""The agent's command, on a node made of files: `python3 -m tests.cluster.agent.program KERNEL SETTINGS ARGUMENT...`.

KERNEL is a folder. Its `victims` is a pipe for records, and `written` gets a line with the time for each written map
entry. `mode` has the number of the program's mode, and `host_priority` the priority of processes outside of pods. There
are no pins while `victims` does not exist. SETTINGS are the settings without a flag, as JSON. With `--in-cluster`, the
service account is in the folder `serviceaccount` beside KERNEL.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oompolicy.kube import client
from oompolicy_agent import main, settings
from oompolicy_agent.kernel.layout import Stat, VictimRecord
from oompolicy_agent.mapping import cgroups, pinnedmap, treewatch

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(sys.argv[1])


class Pipe:
    """A ring buffer of victims. The pipe is also open for writing here, so that it has no end if a writer ends."""

    def __init__(self, path: Path, on_record: Callable[[bytes], None]) -> None:
        self.epoll_fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._on_record = on_record
        self._read = b""

    def consume(self) -> None:
        size = ctypes.sizeof(VictimRecord)
        while True:
            try:
                self._read += os.read(self.epoll_fd, size)
            except BlockingIOError:
                return
            if len(self._read) >= size:
                record, self._read = self._read[:size], self._read[size:]
                self._on_record(record)

    def close(self) -> None:
        os.close(self.epoll_fd)


class EmptyPipe(Pipe):
    """A ring buffer without records. The agent scans the tree only at the full check."""

    def __init__(self) -> None:
        self.epoll_fd = os.eventfd(0)

    def consume(self) -> None:
        pass


class OpenMaps:
    """A stand-in for `openmaps.OpenMaps`."""

    replaced = False

    def __init__(self, _: Path, on_victim: Callable[[bytes], None], __: Callable[[bytes], None]) -> None:
        self.events, self.cgroups = Pipe(FOLDER / "victims", on_victim), EmptyPipe()
        self.priorities = self.settings = self
        self._entries: dict[int, tuple[int, int]] = {}
        self._written = (FOLDER / "written").open("a", buffering=1)

    def entries(self) -> dict[int, tuple[int, int]]:
        return dict(self._entries)

    def put(self, cgroup_id: int, priority: int, memory_request: int) -> None:
        self._entries[cgroup_id] = priority, memory_request
        self._written.write(f"{cgroup_id} {priority} {time.monotonic_ns()}\n")

    def delete(self, cgroup_id: int) -> bool:
        return self._entries.pop(cgroup_id, None) is not None

    has_modes = True

    def mode(self) -> int:
        return int((FOLDER / "mode").read_text())

    def host_priority(self) -> int:
        return int((FOLDER / "host_priority").read_text())

    def change(self, **fields: int) -> bool:
        before = {"mode": self.mode(), "host_priority": self.host_priority()}
        changed = {name for name, value in before.items() if fields.get(name, value) != value}
        for name in changed:
            new = FOLDER / f"..{name}"
            new.write_text(str(int(fields[name])))
            new.replace(FOLDER / name)
        return bool(changed)

    def counters(self) -> dict[Stat, int]:
        return {}

    def close(self) -> None:
        self.events.close()
        self.cgroups.close()
        self._written.close()


def run() -> int:
    """Replace the kernel by the folder, and run the agent."""
    parse = settings.parse
    given: dict[str, Any] = json.loads(sys.argv[2])
    limits = given.pop("event_limits", {})

    def parsed(arguments: list[str]) -> settings.Settings:
        chosen = parse(arguments)
        return replace(chosen, **given, event_limits=replace(chosen.event_limits, **limits))

    settings.parse = parsed  # type: ignore[assignment]
    of_pod = vars(client)["load_incluster_config"].__globals__
    for name, file in (("SERVICE_TOKEN_FILENAME", "token"), ("SERVICE_CERT_FILENAME", "ca.crt")):
        of_pod[name] = str(FOLDER.parent / "serviceaccount" / file)
    for module, name, stand_in in (
        (pinnedmap, "OpenMaps", OpenMaps),
        (treewatch, "scan", partial(cgroups.scan, check=lambda _: True)),
    ):
        setattr(module, name, stand_in)
    return main.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(run())
