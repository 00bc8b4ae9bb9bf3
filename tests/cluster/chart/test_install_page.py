# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/install.md, docs/upgrade.md and README.md, run unchanged and in their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cluster.chart.pages import BLOCK, blocks
from tests.cluster.chart.release import WELL, agent_says
from tests.cluster.cleanup import finish
from tests.unit.docs.page import DOCS, section

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.pages import Admin
    from tests.cluster.cluster import Cluster


RESOLVED = re.compile(r"^```\n(NAMESPACE .*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_commands_of_install_and_upgrade_work(
    admin: Admin, nodes: tuple[str, ...], chart_cluster: Cluster, tmp_path: Path
) -> None:
    """Every command succeeds. The first policy changes the priority of a pod to the one on the page."""
    commands = blocks("install.md", "upgrade.md")
    resolved = []
    for block in commands:
        if "helm test" in block:
            for node in nodes:
                agent_says(chart_cluster.api, node, **WELL)
        printed = admin(block)
        if "helm test" in block:
            assert "Phase:          Succeeded" in printed
        if "oompolicy resolve" in block:
            resolved.append(printed[printed.index("NAMESPACE") :])
    finish(chart_cluster.api, "batch")

    assert len(commands) == 13
    assert RESOLVED.findall((DOCS / "install.md").read_text()) == resolved
    assert "oompolicy-detach" not in (tmp_path / "oompolicy.yaml").read_text()
    assert "oompolicies.oompolicy.dev" not in chart_cluster.kubectl("get", "crd", "-o", "name")


@pytest.mark.usefixtures("nodes")
def test_the_commands_that_ask_a_node_work_without_an_installation(admin: Admin) -> None:
    """The pod of docs/platforms.md runs to its end. Without a kubelet here, kubectl cannot read its log."""
    (block,) = BLOCK.findall(section("platforms.md", "Ask a node"))
    (log,) = (line for line in block.splitlines(keepends=True) if " logs " in line)
    printed = admin(block.replace(log, ""))

    assert "pod/oompolicy-preflight created" in printed
    assert "pod/oompolicy-preflight condition met" in printed
    assert 'pod "oompolicy-preflight" deleted' in printed


@pytest.mark.usefixtures("nodes")
def test_the_first_commands_of_the_readme_work(admin: Admin) -> None:
    """The commands of the installation and of the first policies succeed, and create three policies."""
    commands = [
        block
        for heading in ("Install", "The first policy")
        for block in BLOCK.findall(section("../README.md", heading))
    ]
    printed = "".join(map(admin, commands))
    admin("helm uninstall oompolicy --namespace oompolicy-system && kubectl delete oompolicies --all")

    assert 3 == len(commands)
    assert ["batch", "databases", "oompolicy"] == re.findall(
        r"^(batch|databases|oompolicy) +\d+ ", printed, re.MULTILINE
    )
