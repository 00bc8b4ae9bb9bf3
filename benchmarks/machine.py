# SPDX-License-Identifier: Apache-2.0
"""The machine that the figures were measured on."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vmtest.architecture import AMD64


@dataclass(frozen=True)
class Machine:
    """The description of a host and its guest."""

    processor: str
    cores: int
    qemu: str
    accel: str
    memory: int  # MiB, of the guest
    cpus: int  # of the guest
    date: str


def describe(accel: str, memory: int, cpus: int) -> Machine:
    """Return the description of this host, with a guest of `memory` MiB and `cpus` CPUs."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    version = subprocess.run([AMD64.qemu, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"version (\S+)", version)
    return Machine(
        processor=model[1] if model else "unknown processor",
        cores=os.cpu_count() or 1,
        qemu=number[1] if number else "of unknown version",
        accel=accel,
        memory=memory,
        cpus=cpus,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
