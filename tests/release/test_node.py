# SPDX-License-Identifier: Apache-2.0
"""The release on a node with containerd and a kubelet: everything on it comes from the registry, by digest.

The registry is on this machine, so the node has another address for it, as a mirror has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from publish.chart import IMAGES
from tests.cluster.chart.helm import Helm
from tests.cluster.chart.pages import BLOCK, Admin
from tests.endtoend.guest import HOST
from tests.realnode.disk import PAUSE_IMAGE
from tests.realnode.pods import IMAGE
from tests.realnode.realcluster import NAMESPACE, SLOW_SECONDS
from tests.realnode.settings import REGISTRIES, mirror
from tests.realnode.stage import KILLED
from tests.realnode.way import follow, readme

if TYPE_CHECKING:
    from pathlib import Path

    from tests.endtoend.eventlog import EventLog
    from tests.realnode.realcluster import RealCluster
    from tests.release.dryrun import DryRun

LIST = "ctr --namespace k8s.io images list --quiet"
FORGET = f"{LIST} | grep --invert-match --line-regexp {PAUSE_IMAGE} | xargs ctr --namespace k8s.io images delete --sync"
"""The disk of the tests has our images. Their layers may be those of the release."""


@pytest.fixture
def empty_node(released: DryRun, node: RealCluster) -> RealCluster:
    """Return a node without our images. It reaches the registry."""
    folder, port = f"{REGISTRIES}/{released.registry}", released.registry.rpartition(":")[2]
    text = mirror(f"{HOST}:{port}")
    node.guest.order("shell", SLOW_SECONDS, script=f"mkdir -p {folder}; printf '%s' '{text}' >{folder}/hosts.toml")
    node.guest.order("shell", SLOW_SECONDS, script=FORGET)
    assert [PAUSE_IMAGE] == node.guest.order("shell", script=LIST).split()
    return node


def test_the_published_chart_enforces_on_a_node(
    released: DryRun, empty_node: RealCluster, events: EventLog, tmp_path: Path
) -> None:
    """The chart's README installs it without values. The path of the project's README ends with the victim's Event.

    No image is on the node before, so containerd has fetched each of them from the registry.
    """
    admin = Admin(Helm(released.helm, tmp_path / "helm"), empty_node.cluster, tmp_path)
    install = BLOCK.findall((released.clone.folder / "charts/oompolicy/README.md").read_text())[0]
    assert f"oci://{released.clone.project.registry}/" in install
    admin(install)
    empty_node.await_agent()
    images = {each["imageID"] for pod in empty_node.api.list("Pod", NAMESPACE) for each in statuses(pod)}
    image = released.reference("oompolicy")
    commands = [block.replace(f"--image={IMAGE} ", f"--image={image} ") for block in readme()[2:]]
    printed = follow(empty_node, events, admin, commands)

    assert {released.reference(name) for name in IMAGES.values()} == images
    assert re.search(rf"{KILLED}\s+pod/report\s.*scope Node", printed)
    assert "True" == empty_node.condition("Enforcing")[0]


def statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all containers of a pod, also of those that have ended."""
    return [*pod["status"].get("initContainerStatuses", []), *pod["status"]["containerStatuses"]]
