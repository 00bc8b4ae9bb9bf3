# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/install.md and docs/upgrade.md, run as they stand there, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.chart.pages import blocks
from tests.cluster.chart.release import WELL, agent_says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.pages import Admin
    from tests.cluster.cluster import Cluster


def test_the_pages_can_be_followed(
    admin: Admin, nodes: tuple[str, ...], chart_cluster: Cluster, tmp_path: Path
) -> None:
    """From the first command to the last."""
    commands = blocks("install.md", "upgrade.md")
    for block in commands:
        if "helm test" in block:
            for node in nodes:
                agent_says(chart_cluster.api, node, **WELL)
        printed = admin(block)
        if "helm test" in block:
            assert "Phase:          Succeeded" in printed

    assert len(commands) == 9
    assert "oompolicy-detach" not in (tmp_path / "oompolicy.yaml").read_text()
    assert "oompolicies.oompolicy.dev" not in chart_cluster.kubectl("get", "crd", "-o", "name")
