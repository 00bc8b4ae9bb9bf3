# SPDX-License-Identifier: Apache-2.0
"""The shell blocks of pages, and a shell that runs them."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.helm import Helm
    from tests.cluster.cluster import Cluster

NAMESPACE = "oompolicy-system"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USED = ("charts", "crds", "deploy", "examples", ".venv")


def blocks(*pages: str) -> list[str]:
    """Return the shell blocks of the pages in their order."""
    return [block for page in pages for block in BLOCK.findall((CHECKOUT / "docs" / page).read_text())]


class Admin:
    """A shell with helm and kubectl on its path, in a folder with links to all files that the pages read."""

    def __init__(self, helm: Helm, cluster: Cluster, folder: Path) -> None:
        programs = folder / "programs"
        programs.mkdir()
        for name, program in (("helm", helm.program), ("kubectl", cluster.kubectl.program)):
            (programs / name).symlink_to(program)
        for name in USED:
            (folder / name).symlink_to(CHECKOUT / name)
        self._folder = folder
        self._env = {
            **os.environ,
            **{f"HELM_{kind}_HOME": str(helm.home / kind) for kind in ("CACHE", "CONFIG", "DATA")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(cluster.admin),
            "KUBECACHEDIR": str(cluster.kubectl.cache),
        }

    def __call__(self, block: str) -> str:
        """Run a block, which stops at the first error, and return its output."""
        done = subprocess.run(
            ["sh", "-euc", block],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert 0 == done.returncode, f"{block}\n{done.stdout}"
        return done.stdout
