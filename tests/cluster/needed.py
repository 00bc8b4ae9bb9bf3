# SPDX-License-Identifier: Apache-2.0
"""Programs that tests need, and that a machine may be unable to build or fetch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.cluster.errors import BinariesError

if TYPE_CHECKING:
    from collections.abc import Callable

Program = TypeVar("Program")


def ensured(ensure: Callable[[], Program], missing: str) -> Program:
    """Return the result of `ensure`. Without it a developer's tests are skipped with the reason, and CI fails."""
    try:
        return ensure()
    except BinariesError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{missing}: {error}")
