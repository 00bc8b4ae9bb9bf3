# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/install.md and docs/upgrade.md, run as they stand there, in their order."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cluster.chart.controllers import Controllers
from tests.cluster.chart.release import Release, agent_says
from tests.cluster.cleanup import finish
from tests.vm.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.chart.helm import Helm
    from tests.cluster.cluster import Cluster

NAMESPACE = "oompolicy-system"
PAGES = ("install.md", "upgrade.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WELL = {"Ready": ("True", ""), "Enforcing": ("True", "")}


@pytest.fixture
def admin(helm: Helm, chart_cluster: Cluster, tmp_path: Path) -> Callable[[str], str]:
    """A shell in a folder that is the checkout for all that the page reads, with helm and kubectl on its path."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, program in (("helm", helm.program), ("kubectl", chart_cluster.kubectl.program)):
        (programs / name).symlink_to(program)
    for name in ("charts", "crds", "deploy", "examples"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    env = {
        **os.environ,
        **{f"HELM_{kind}_HOME": str(helm.home / kind) for kind in ("CACHE", "CONFIG", "DATA")},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KUBECONFIG": str(chart_cluster.admin),
        "KUBECACHEDIR": str(chart_cluster.kubectl.cache),
    }

    def run(block: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", block],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert 0 == done.returncode, f"{block}\n{done.stdout}"
        return done.stdout

    return run


@pytest.fixture
def nodes(chart_cluster: Cluster) -> Iterator[tuple[str, ...]]:
    """Those of the page, and controllers for its namespace."""
    for node in Release.NODES:
        chart_cluster.api.node(node)
    chart_cluster.api.namespace(NAMESPACE)
    with Controllers(chart_cluster, NAMESPACE):
        yield Release.NODES
    for node in Release.NODES:
        chart_cluster.api.delete("Node", node)
    finish(chart_cluster.api, NAMESPACE)


def test_the_pages_can_be_followed(
    admin: Callable[[str], str], nodes: tuple[str, ...], chart_cluster: Cluster, tmp_path: Path
) -> None:
    """From the first command to the last."""
    blocks = [block for page in PAGES for block in BLOCK.findall((CHECKOUT / "docs" / page).read_text())]
    for block in blocks:
        if "helm test" in block:
            for node in nodes:
                agent_says(chart_cluster.api, node, **WELL)
        printed = admin(block)
        if "helm test" in block:
            assert "Phase:          Succeeded" in printed

    assert len(blocks) == 9
    assert "oompolicy-detach" not in (tmp_path / "oompolicy.yaml").read_text()
    assert "oompolicies.oompolicy.dev" not in chart_cluster.kubectl("get", "crd", "-o", "name")
