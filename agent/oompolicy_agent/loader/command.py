# SPDX-License-Identifier: Apache-2.0
"""Runs bpftool, insmod and the like."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def run(*argv: str) -> Result:
    """Run to the end. FileNotFoundError where there is no such command."""
    # The lock's descriptor is inheritable and goes along: where the loader is killed and its bpftool lives on for
    # a moment, the next loader waits for that one too.
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, close_fds=False)
    return Result(done.returncode, done.stdout, done.stderr)
