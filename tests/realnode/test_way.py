# SPDX-License-Identifier: Apache-2.0
"""The commands of the README for a cluster. The other tests have uninstalled oompolicy before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.cluster.chart.helm import Helm, ensure_helm
from tests.cluster.chart.pages import Admin
from tests.cluster.waiting import eventually
from tests.realnode.__main__ import environment
from tests.realnode.realcluster import SLOW_SECONDS
from tests.realnode.stage import DEMO, KILLED, PRIORITIES
from tests.realnode.way import follow, readme

if TYPE_CHECKING:
    from pathlib import Path

    from tests.endtoend.eventlog import EventLog
    from tests.realnode.realcluster import RealCluster


def test_the_commands_of_the_readme_end_with_an_event(node: RealCluster, events: EventLog, tmp_path: Path) -> None:
    """The commands work from the first one of the second shell to the Event on the report."""
    clear(node)
    start, *commands = readme()
    printed = follow(node, events, reader(node, tmp_path), commands)

    assert "make realnode\n" == start
    assert re.search(rf"{KILLED}\s+pod/report\s.*scope Node", printed)


def clear(node: RealCluster) -> None:
    """Delete the pods of the other tests. To apply their policies again changes nothing."""
    node.kubectl("delete", "--ignore-not-found", "--wait=false", f"--filename={DEMO[0]}")
    eventually(
        lambda: {each["metadata"]["name"] for each in node.api.list("Namespace")},
        lambda names: names.isdisjoint(namespace for namespace, _ in PRIORITIES),
        deadline=SLOW_SECONDS,
    )


def reader(node: RealCluster, folder: Path) -> Admin:
    """Return an admin in a folder with the file that `make realnode` writes."""
    (folder / "build").mkdir()
    (folder / "build/realnode.env").write_text(environment(node))
    return Admin(Helm(ensure_helm(), folder / "helm"), node.cluster, folder)
