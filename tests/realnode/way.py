# SPDX-License-Identifier: Apache-2.0
"""The commands of the README for a cluster of one node, from its policies to the Event on a victim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.cluster.chart.pages import BLOCK
from tests.cluster.waiting import eventually
from tests.realnode.stage import KILLED, PRIORITIES, REPORT
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cluster.chart.pages import Admin
    from tests.endtoend.eventlog import EventLog
    from tests.realnode.realcluster import RealCluster

SECTION: Final = "## Try it on a cluster of one node"


def readme() -> list[str]:
    """Return the shell blocks of the section. The first starts the cluster, and the second installs oompolicy."""
    return BLOCK.findall((CHECKOUT / "README.md").read_text().partition(SECTION)[2].partition("\n## ")[0])


def follow(node: RealCluster, events: EventLog, admin: Admin, commands: Sequence[str]) -> str:
    """Run the commands, and return the output of those after the kill. The Event on the report has been seen before."""
    hungry = next(number for number, block in enumerate(commands) if "run hungry" in block)
    for block in commands[:hungry]:
        admin(block)
    uid = node.api.get("Pod", "report", "batch")["metadata"]["uid"]
    # The agent may need a moment to process the pods that the last block has started.
    eventually(lambda: node.guest.order("priority", uid=uid), lambda seen: seen == PRIORITIES[REPORT], deadline=120)
    admin(commands[hungry])
    events.wait("the report's Event", lambda seen: (seen.pod, seen.reason) == (uid, KILLED), seconds=120)
    return "".join(map(admin, commands[hungry + 1 :]))
