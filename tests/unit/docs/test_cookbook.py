# SPDX-License-Identifier: Apache-2.0
"""docs/cookbook.md and docs/software.md show the examples and their output. The commands on other pages succeed."""

from __future__ import annotations

import re
import shlex

import pytest

from oompolicy.cli import main
from tests.unit.docs.page import CHECKOUT, DOCS

FILE = re.compile(r"^`(examples/\S+\.yaml)`:\n\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"^\$ \.venv/bin/oompolicy (.*)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)

COMMANDS = re.findall(r"^\.venv/bin/oompolicy (.*)$", (DOCS / "policies.md").read_text(), re.MULTILINE)
RECIPES = ("cookbook.md", "software.md")
FILES = [found for page in RECIPES for found in FILE.findall((DOCS / page).read_text())]
OUTPUTS = [
    (page, *found)
    for page in (*RECIPES, "cli.md", "../README.md")
    for found in OUTPUT.findall((DOCS / page).read_text())
]


@pytest.mark.parametrize(("name", "shown"), FILES, ids=[name for name, _ in FILES])
def test_a_file_is_shown_unchanged(name: str, shown: str) -> None:
    """Only the line with the licence is left out."""
    _, _, text = (CHECKOUT / name).read_text().partition("\n")

    assert text == shown


@pytest.mark.parametrize(
    ("page", "command", "shown"), OUTPUTS, ids=[f"{page} {command}" for page, command, _ in OUTPUTS]
)
def test_an_output_is_that_of_the_command(
    page: str, command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs in the checkout."""
    monkeypatch.chdir(CHECKOUT)
    status = main(shlex.split(command))

    assert (0, shown) == (status, capsys.readouterr().out), page


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_its_output_can_be_run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These are the commands of docs/policies.md, run in the checkout."""
    monkeypatch.chdir(CHECKOUT)

    assert 0 == main(shlex.split(command))


def test_every_policy_and_every_pod_has_a_recipe() -> None:
    """A new example needs one."""
    text = "".join((DOCS / page).read_text() for page in RECIPES)
    examples = [*CHECKOUT.glob("examples/policies/*"), *CHECKOUT.glob("examples/pods/*")]

    assert len(FILES) >= 15
    assert len(OUTPUTS) >= 13
    assert [] == [str(file) for file in examples if str(file.relative_to(CHECKOUT)) not in text]
