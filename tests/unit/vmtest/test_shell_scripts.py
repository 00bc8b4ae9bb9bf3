# SPDX-License-Identifier: Apache-2.0
"""The shell scripts of guest and setup have no warnings."""

import os
import shutil
import subprocess

import pytest

from vmtest.cache import CHECKOUT

SCRIPTS = ["scripts/setup", "vmtest/guest/init", "vmtest/guest/start"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_no_warnings(script: str) -> None:
    if shutil.which("shellcheck") is None and os.environ.get("CI") != "true":
        pytest.skip("shellcheck is not installed: scripts/setup installs it")
    result = subprocess.run(
        ["shellcheck", script], cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

    assert result.stdout == ""
    assert result.returncode == 0


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_and_licensed(script: str) -> None:
    path = CHECKOUT / script

    assert os.access(path, os.X_OK)
    assert "SPDX-License-Identifier: Apache-2.0" in path.read_text().splitlines()[1]


def test_setup_prints_its_usage() -> None:
    result = subprocess.run(
        [CHECKOUT / "scripts/setup", "--unknown"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "usage: scripts/setup" in result.stderr
