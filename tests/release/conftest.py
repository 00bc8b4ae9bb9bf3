# SPDX-License-Identifier: Apache-2.0
"""One release for all tests, and one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.conftest import binaries  # noqa: F401 (a fixture)
from tests.realnode.conftest import (  # noqa: F401 (fixtures, and the logs of the node in a report)
    events,
    node,
    pytest_runtest_makereport,
)
from tests.release.dryrun import DryRun, dry_run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def released() -> Iterator[DryRun]:
    """Without its tools the dry run fails, and is not skipped, because `make release-dry-run` has no other task."""
    with dry_run() as release:
        yield release
