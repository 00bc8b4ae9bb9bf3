# SPDX-License-Identifier: Apache-2.0
"""The measuring program, which is attached once, before every variant."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Final, NamedTuple, Self

from oompolicy_agent.kernel.maps import RingBuffer

BPFFS: Final = Path("/sys/fs/bpf/benchmark")
OBJECTS: Final = Path(__file__).parents[1] / "build/benchmarks"


class Selection(NamedTuple):
    """One record of the ring buffer `selections`."""

    ns: int
    victim_tgid: int
    in_limit: int


class _Record(ctypes.Structure):
    """The layout of `struct selection` in bpf/stopwatch.bpf.c."""

    _fields_ = (("ns", ctypes.c_uint64), ("victim_tgid", ctypes.c_uint32), ("in_limit", ctypes.c_uint32))


def load(name: str) -> Path:
    """Load and attach an object of `bpf/`, and return the folder of its pins, with `links` and `maps`."""
    folder = BPFFS / name
    folder.mkdir(parents=True)
    command = ["bpftool", "prog", "loadall", str(OBJECTS / f"{name}.bpf.o"), str(folder / "links")]
    subprocess.run([*command, "pinmaps", str(folder / "maps"), "autoattach"], check=True)
    return folder


def unload(folder: Path) -> None:
    """Remove the pins, and with them the programs and maps."""
    subprocess.run(["rm", "-r", folder], check=True)


class Stopwatch:
    """The running measurement, as a context manager."""

    def __init__(self) -> None:
        """Attach the measuring program."""
        self._folder = load("stopwatch")
        self._taken: list[Selection] = []
        self._ring = RingBuffer(self._folder / "maps/selections", self._add)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ring.close()
        unload(self._folder)

    def take(self) -> list[Selection]:
        """Return the selections since the last call."""
        self._ring.consume()
        taken, self._taken[:] = list(self._taken), []
        return taken

    def wait(self, seconds: float) -> list[Selection]:
        """Wait for a selection, and return the selections since the last call."""
        self._ring.poll(int(seconds * 1000))
        return self.take()

    def _add(self, raw: bytes) -> None:
        record = _Record.from_buffer_copy(raw)
        self._taken.append(Selection(record.ns, record.victim_tgid, record.in_limit))
