# SPDX-License-Identifier: Apache-2.0
"""actionlint, which knows the syntax and the expressions of GitHub, accepts the workflows."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cluster.needed import ensured
from tests.cluster.tools import TOOLS
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def actionlint() -> Path:
    """A developer's machine may not reach the Go module proxy, and then the tests are skipped. CI must reach it."""
    return ensured(TOOLS.ensure, "no actionlint") / "actionlint"


def lint(actionlint: Path, text: str) -> str:
    """Return the problems of a workflow."""
    argv = [str(actionlint), "-no-color", "-oneline", "-"]
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    return done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_a_workflow_has_no_problems(actionlint: Path, workflow: Path) -> None:
    assert "" == lint(actionlint, workflow.read_text())


def test_a_job_that_does_not_exist_is_found(actionlint: Path) -> None:
    """The test above can therefore fail."""
    text = (CHECKOUT / ".github/workflows/release.yml").read_text()

    assert "needs job" in lint(actionlint, text.replace("needs: check", "needs: checks"))
