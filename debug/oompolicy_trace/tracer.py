# SPDX-License-Identifier: Apache-2.0
"""The program in the kernel: compiled and attached by bcc, and its records."""

from __future__ import annotations

import atexit
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oompolicy_trace.probes import PROBES, REQUIRED, Source, absence, doubt
from oompolicy_trace.records import LAYOUT, Record, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oompolicy_trace.probes import Probe

HERE: Final = Path(__file__).parent
RING_BYTES: Final = 2 << 20
"""Room for 12,000 tasks."""
LOST: Final = 1
"""The index of the lost records in the map `counts`."""
PINNED: Final = {"OOMPOLICY_PRIORITIES": "cgroup_priority", "OOMPOLICY_SETTINGS": "settings"}
"""The macros of program.c for oompolicy's maps, with the names of their pins."""


class TracerError(Exception):
    """The tool cannot watch this kernel."""


@dataclass(frozen=True)
class Settings:
    """The settings of the node's policy, as the kernel reads them."""

    host_priority: int
    mode: str


class Tracer:
    """The attached program. The kernel removes it when this process ends."""

    def __init__(self, macros: Mapping[str, str], pins: Path, known: set[str]) -> None:
        self._pins = pins
        self._inodes = inodes(pins)
        found = {macro: f'"{pins / name}"' for macro, name in PINNED.items() if name in self._inodes}
        page = os.sysconf("SC_PAGESIZE")
        sizes = {"OOMPOLICY_PAGE_SIZE": str(page), "OOMPOLICY_RING_PAGES": str(RING_BYTES // page)}
        self._bpf = compile_program({**macros, **found, **sizes})
        self._waiting: list[Record] = []
        self._bpf["records"].open_ring_buffer(self._take)
        self.sources = [attach(self._bpf, probe, known) for probe in PROBES]
        if any(source.problem for source in self.sources if source.probe.name == REQUIRED):
            raise TracerError(f"cannot watch {REQUIRED}(): {self.sources[-1].problem}")

    @property
    def has_priorities(self) -> bool:
        """Tell whether the node has oompolicy's map of priorities."""
        return PINNED["OOMPOLICY_PRIORITIES"] in self._inodes

    @property
    def maps_replaced(self) -> bool:
        """Tell whether a loader has attached or detached since the start, so that the priorities are old."""
        return inodes(self._pins) != self._inodes

    @property
    def lost(self) -> int:
        """The number of records that did not fit into the ring buffer since the start."""
        return int(self._bpf["counts"][ctypes.c_int(LOST)].value)

    def settings(self) -> Settings | None:
        """Return the settings as they are now."""
        if PINNED["OOMPOLICY_SETTINGS"] not in self._inodes:
            return None
        entry = self._bpf["settings"][ctypes.c_int(0)]
        # An unknown mode is Off.
        return Settings(int(entry.host_priority), {1: "Audit", 2: "Enforce"}.get(int(entry.mode), "Off"))

    def wait(self, milliseconds: int) -> Iterator[Record]:
        """Wait for records, and yield them. The wait also ends at a signal."""
        self._bpf.ring_buffer_poll(milliseconds)
        taken, self._waiting = self._waiting, []
        yield from taken

    def _take(self, _context: object, data: int, _size: int) -> int:
        self._waiting.append(decode(ctypes.string_at(data, LAYOUT.size)))
        return 0


def inodes(pins: Path) -> dict[str, int]:
    """Return the pinned maps that are there, with the identity of each."""
    return {name: (pins / name).stat().st_ino for name in PINNED.values() if (pins / name).exists()}


def compile_program(macros: Mapping[str, str]) -> Any:  # noqa: ANN401 (bcc has no types)
    """Compile program.c with our own headers, so that the node needs none of its kernel's."""
    os.environ["BCC_KERNEL_SOURCE"] = str(HERE / "headers")
    try:
        from bcc import BPF  # noqa: PLC0415 (bcc reads the environment, and only this function needs it)
    except ImportError as error:
        raise TracerError("bcc is missing: install Debian's package python3-bpfcc") from error
    flags = [f"-D{name}={value}" for name, value in macros.items()]
    try:
        bpf = BPF(src_file=str(HERE / "program.c"), cflags=flags)
    except Exception as error:  # bcc raises nothing more exact
        raise TracerError(f"bcc cannot compile or load the program, see above: {error}") from error
    # bcc would detach kprobes only with tracefs, which a container does not have. The kernel detaches them in any case.
    atexit.unregister(bpf.cleanup)
    return bpf


def attach(bpf: Any, probe: Probe, known: set[str]) -> Source:  # noqa: ANN401 (bcc has no types)
    """Attach a probe as a whole or not at all. The return comes first, so that no begin is seen without its end."""
    problem = "" if probe.traced else absence(probe.name, known)
    if problem:
        return Source(probe, problem)
    try:
        if probe.traced:
            bpf.attach_raw_tracepoint(tp=probe.name.encode(), fn_name=probe.traced.encode())
        if probe.returned:
            bpf.attach_kretprobe(event=probe.name.encode(), fn_name=probe.returned.encode())
        if probe.entered:
            _attach_entry(bpf, probe)
    except TracerError:
        raise
    except Exception as error:  # noqa: BLE001 (bcc raises nothing more exact)
        return Source(probe, " ".join(str(error).split()))
    return Source(probe, doubt="" if probe.traced else doubt(probe.name, known))


def _attach_entry(bpf: Any, probe: Probe) -> None:  # noqa: ANN401 (bcc has no types)
    """Attach the entry of a function. If the kernel refuses it, detach the return, which would see ends alone."""
    try:
        bpf.attach_kprobe(event=probe.name.encode(), fn_name=probe.entered.encode())
    except Exception:
        if probe.returned:
            _detach_return(bpf, probe)
        raise


def _detach_return(bpf: Any, probe: Probe) -> None:  # noqa: ANN401 (bcc has no types)
    event, program = probe.name.encode(), probe.returned.encode()
    try:
        bpf.detach_kretprobe(event=event, fn_name=program)
    except Exception as error:  # bcc raises nothing more exact
        # bcc closes the probe and forgets it. Then it reads a file of tracefs, which a container may not have.
        if program in bpf.kprobe_fds.get(b"r_" + event, {}):
            raise TracerError(f"the probe at the return of {probe.name}() cannot be detached: {error}") from error
