# SPDX-License-Identifier: Apache-2.0
"""A kernel that permits no map gets a reason if there is a usual one."""

from __future__ import annotations

import pytest

from oompolicy_agent.loader.objectfile import locked_memory


@pytest.mark.parametrize("release", ["5.10.0-32-cloud-amd64", "5.8.0", "4.19.0-27-amd64"])
def test_a_kernel_that_counts_maps_as_locked_memory_is_named(release: str) -> None:
    assert locked_memory(release).endswith("the loader needs CAP_SYS_RESOURCE, or an unlimited RLIMIT_MEMLOCK")


@pytest.mark.parametrize("release", ["5.11.0", "5.15.0-91-generic", "6.1.0-50-cloud-amd64", "7.3.4+deb13-cloud-amd64"])
def test_a_newer_kernel_has_another_reason(release: str) -> None:
    assert "" == locked_memory(release)
