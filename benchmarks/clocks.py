# SPDX-License-Identifier: Apache-2.0
"""What a selection is measured in: the time it takes, or the instructions that the guest executes meanwhile.

An emulator's time depends on what else its host does; its count of instructions does not.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from vmtest.errors import QemuError
from vmtest.qemu import QEMU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@contextlib.contextmanager
def instructions() -> Iterator[None]:
    """Let the guest's clock count instructions, one nanosecond for each: a QEMU first in PATH that does so."""
    real = shutil.which(QEMU)
    if real is None:
        raise QemuError(f"{QEMU} is not installed; scripts/setup installs it")
    before = os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as folder:
        wrapper = Path(folder) / QEMU
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} "$@" -icount shift=0\n')
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before


@dataclass(frozen=True)
class Clock:
    """How a guest measures."""

    unit: str
    per_unit: float  # nanoseconds of the guest
    rounds: int  # how often the variants take turns
    oom_count: int  # kills per variant
    cpus: int
    accel: Literal["auto", "tcg"]
    running: Callable[[], AbstractContextManager[None]]


CLOCKS: Final = {
    "time": Clock("ms", 1e6, 5, 15, 2, "auto", contextlib.nullcontext),
    # Each round repeats the one before to within a timer tick; with one CPU no other's instructions are counted.
    "instructions": Clock("thousand instructions", 1e3, 2, 4, 1, "tcg", instructions),
}
