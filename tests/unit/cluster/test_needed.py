# SPDX-License-Identifier: Apache-2.0
"""A program that cannot be had skips a developer's tests, and never those of CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.errors import BinariesError
from tests.cluster.needed import ensured


def unreachable() -> Path:
    raise BinariesError("the proxy does not answer")


def test_ci_fails_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(BinariesError):
        ensured(unreachable, "no krew")


def test_a_developers_tests_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no krew: the proxy does not answer"):
        ensured(unreachable, "no krew")


def test_a_program_that_exists_is_returned() -> None:
    assert Path("krew") == ensured(lambda: Path("krew"), "no krew")
