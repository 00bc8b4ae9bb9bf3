# SPDX-License-Identifier: Apache-2.0
"""krew installs the plugin from the files that `make dist` builds, with the command of docs/cli.md."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle.main import build
from bundle.parts import version
from tests.cluster.krew import KREW
from tests.cluster.needed import ensured
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.main import Built
    from tests.cluster.binaries import Binaries

COMMAND = re.compile(r"`kubectl krew (install [^`]+)`")


@pytest.fixture(scope="module")
def krew() -> Path:
    """A developer's machine may not reach the Go module proxy, and then the tests are skipped. CI must reach it."""
    return ensured(KREW.ensure, "no krew") / "krew"


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build(tmp_path / "dist", "https://releases.example")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, in which krew has installed nothing, and a PATH with the plugins of krew."""
    root = tmp_path / "krew"
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "HOME": str(tmp_path), "KREW_ROOT": str(root), "PATH": path}


def install(krew: Path, built: Built, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command of the page in the folder of the files."""
    (command,) = COMMAND.findall((CHECKOUT / "docs/cli.md").read_text())
    return subprocess.run(
        [str(krew), *shlex.split(command)],
        cwd=built.manifest.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_krew_installs_the_plugin(
    krew: Path, built: Built, environment: dict[str, str], binaries: Binaries, tmp_path: Path
) -> None:
    """kubectl then finds it. The license is installed with it."""
    done = install(krew, built, environment)
    assert 0 == done.returncode, done.stderr
    asked = [str(binaries.kubectl), "oom", "--version"]
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)

    assert f"oompolicy {version()}\n" == answer.stdout
    store = tmp_path / f"krew/store/oom/v{version()}"
    assert {"kubectl-oom", "LICENSE"} == {each.name for each in store.iterdir()}
    assert "The plugin needs python3" in done.stderr


def test_krew_refuses_another_archive(krew: Path, built: Built, environment: dict[str, str]) -> None:
    """The manifest has the checksum of the archive."""
    built.plugin.write_bytes(built.plugin.read_bytes() + b"\0")
    done = install(krew, built, environment)

    assert 0 != done.returncode
    assert "checksum does not match" in done.stderr
