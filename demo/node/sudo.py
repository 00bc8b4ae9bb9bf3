# SPDX-License-Identifier: Apache-2.0
"""Start a part of the demo again as root: the guest's files belong to root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

KEPT: Final = ("XDG_CACHE_HOME", "KUBEBUILDER_ASSETS", "OOMPOLICY_ACCEL", "NO_COLOR", "TERM")


def as_root(module: str, *arguments: str) -> list[str]:
    """Write the command that starts the module through sudo."""
    kept = [f"{name}={os.environ[name]}" for name in KEPT if name in os.environ]
    # Nothing of root's is left in the user's checkout.
    return ["sudo", "env", "PYTHONDONTWRITEBYTECODE=1", *kept, sys.executable, "-m", module, *arguments]


def through_sudo(module: str, *arguments: str) -> int:
    """Run the module as root, and return its exit status."""
    if shutil.which("sudo") is None:
        print("demo: not root, and there is no sudo: the guest's files belong to root", file=sys.stderr)
        return 1
    return subprocess.run(as_root(module, *arguments), check=False).returncode
