# SPDX-License-Identifier: Apache-2.0
"""Run kubectl as somebody."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.errors import KubectlError

if TYPE_CHECKING:
    from pathlib import Path

# Never reached on a machine that lives: kubectl's own requests have no limit.
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Kubectl:
    """The program and who it is to the API server."""

    program: Path
    kubeconfig: Path
    cache: Path

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """Return what it prints. KubectlError, with what it writes to stderr."""
        result = subprocess.run(
            [str(self.program), *words],
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            # Its cache of what the API server offers stands by port, and ports are used again.
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)},
        )
        if result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout
