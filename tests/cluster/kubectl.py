# SPDX-License-Identifier: Apache-2.0
"""Run kubectl as one user."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.errors import KubectlError

if TYPE_CHECKING:
    from pathlib import Path

# kubectl's own requests have no limit. This one is only reached if the machine hangs.
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Kubectl:
    """The program kubectl and the kubeconfig of its user."""

    program: Path
    kubeconfig: Path
    cache: Path

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output. KubectlError, with the text of stderr: the status is not 0."""
        result = subprocess.run(
            [str(self.program), *arguments],
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            # kubectl caches the kinds of an API server by its port, and ports are used again.
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)},
        )
        if result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout
