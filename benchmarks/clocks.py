# SPDX-License-Identifier: Apache-2.0
"""The units of a selection: its time, or the number of instructions that the guest executes meanwhile.

An emulator's time depends on the other load of its host. Its count of instructions does not.
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

from vmtest.architecture import AMD64
from vmtest.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@contextlib.contextmanager
def instructions() -> Iterator[None]:
    """Let the guest's clock count instructions, one nanosecond each, by a wrapper of QEMU that is first in PATH."""
    real = shutil.which(AMD64.qemu)
    if real is None:
        raise QemuError(f"{AMD64.qemu} is not installed. Run scripts/setup to install it")
    before = os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as folder:
        wrapper = Path(folder) / AMD64.qemu
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} "$@" -icount shift=0\n')
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before


@dataclass(frozen=True)
class Clock:
    """The setting of a guest, and the unit of its measurements."""

    unit: str
    per_unit: float  # nanoseconds of the guest
    rounds: int  # the number of turns of each variant
    oom_count: int  # kills per variant
    cpus: int
    accel: Literal["auto", "tcg"]
    running: Callable[[], AbstractContextManager[None]]


CLOCKS: Final = {
    "time": Clock("ms", 1e6, 5, 15, 2, "auto", contextlib.nullcontext),
    # Each round repeats the one before to within a timer tick. With one CPU, no instructions of another are counted.
    "instructions": Clock("thousand instructions", 1e3, 2, 4, 1, "tcg", instructions),
}
