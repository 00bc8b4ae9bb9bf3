# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md has each command of the program, and the flags that it names exist."""

from __future__ import annotations

import re
from importlib import import_module

from bundle.parts import version
from oompolicy.cli.program import COMMANDS, program
from tests.unit.docs.page import CHECKOUT, DOCS, codes, rows, section

FLAG = re.compile(r"`(--?[A-Za-z][a-z-]*)")


def flags() -> set[str]:
    """Return the flags of all commands."""
    commands = [import_module(f"oompolicy.cli.{name}").command for name in COMMANDS]
    return {flag for command in (program, *commands) for each in command.params for flag in each.opts}


def test_the_page_has_every_command() -> None:
    """The first table lists them."""
    (first, *_) = zip(*rows(section("cli.md", "Command line")), strict=True)

    assert set(COMMANDS) == {command for cell in first for command in codes(cell)}


def test_the_flags_of_the_page_exist() -> None:
    """Help and page have the same names."""
    named = set(FLAG.findall((DOCS / "cli.md").read_text()))

    assert {"--sort-by", "--cluster", "-R", "--since", "--policy"} <= named
    assert set() == named - flags()


def test_the_files_of_a_release_have_the_version_of_the_page() -> None:
    """The Makefile names their folder."""
    page = (DOCS / "cli.md").read_text()

    assert f"oompolicy-{version()}.pyz" in page
    assert f"kubectl-oom-{version()}.tar.gz" in page
    assert "-m bundle dist " in (CHECKOUT / "Makefile").read_text()
