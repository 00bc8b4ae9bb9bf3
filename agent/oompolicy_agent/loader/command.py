# SPDX-License-Identifier: Apache-2.0
"""Runs commands of the node's tools: bpftool, insmod, rmmod, modinfo, make."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """The exit status and the output of a command that has ended."""

    status: int
    stdout: str
    stderr: str


def run(*argv: str) -> Result:
    """Run a command to its end, with any exit status. FileNotFoundError: there is no such command."""
    # The lock's descriptor is inheritable and is passed on: if the loader is killed and its bpftool runs on for a
    # moment, the next loader waits for that bpftool too.
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, close_fds=False)
    return Result(done.returncode, done.stdout, done.stderr)
