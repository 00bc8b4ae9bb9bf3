# SPDX-License-Identifier: Apache-2.0
"""oompolicy with its defaults on a node that can have no module: scores decide, and the uninstall takes them back.

The order of the tests matters, because the last one uninstalls oompolicy. Earlier tests have uninstalled it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.waiting import eventually
from tests.realnode.scores import Score, changed, from_wire, of_pod
from tests.realnode.settings import NODE_NAME
from tests.realnode.stage import KILLED, OF_POLICIES, POSTGRES, PRIORITIES, REPORT, WEB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.realnode.realcluster import RealCluster
    from tests.realnode.stage import Stage

HEADERS = "/usr/lib/modules/$(uname -r)/build"
"""The build of the module needs these headers. A test cannot forbid modules to a kernel until it boots again."""
ENFORCING_SECONDS = 60.0


def read(node: RealCluster) -> dict[str, Score]:
    """Return the scores of all processes of the node."""
    return from_wire(node.guest.order("scores"))


def values(stage: Stage) -> dict[str, set[int]]:
    """Return the oom_score_adj of the processes of each pod, without those of sandboxes."""
    found = read(stage.cluster).values()
    return {name[1]: of_pod(found, stage.pod(name)["metadata"]["uid"]) for name in PRIORITIES}


def await_all_running(stage: Stage) -> None:
    """Wait for each pod, because the kubelet restarts a victim of an earlier test only after a back-off."""
    for name in PRIORITIES:
        stage.await_running(name)


@pytest.fixture(scope="module")
def without_module(stage: Stage) -> Iterator[Stage]:
    """Yield the pods on a node that cannot build the module. oompolicy is installed with its defaults, and audits."""
    node = stage.cluster
    node.helm("uninstall", "oompolicy", "--ignore-not-found")
    node.guest.order("shell", script=f"mv {HEADERS} {HEADERS}.hidden")
    node.install()
    node.set_settings("Audit", mode="Audit", nodeModes=[])
    await_all_running(stage)
    yield stage
    node.guest.order("shell", script=f"mv {HEADERS}.hidden {HEADERS}")


@pytest.fixture(scope="module")
def original(without_module: Stage) -> dict[str, set[int]]:
    """Return the values of the pods before any score."""
    return values(without_module)


def test_a_node_without_a_module_enforces_within_a_minute(without_module: Stage, original: dict[str, set[int]]) -> None:
    """Processes in containers get scores. No process of the host and no sandbox is written."""
    node = without_module.cluster
    before = read(node)
    node.set_settings("Enforce", mode="Enforce")
    eventually(lambda: node.condition("Enforcing")[0], lambda seen: seen == "True", deadline=ENFORCING_SECONDS)
    changes = changed(before, read(node))

    assert "OOMScoreAdj" == node.api.get("OOMNode", NODE_NAME)["status"]["backend"]
    assert [] == [each for each in changes if not each[0].may_change]
    assert {REPORT[1], WEB[1], POSTGRES[1]} == {
        name for name, found in values(without_module).items() if found != original[name]
    }


def test_the_lowest_priority_dies_without_a_module(without_module: Stage) -> None:
    """The pod that the kernel would spare dies. Its status says OOMKilled, it has an Event, and the others go on."""
    stage = without_module
    reported = stage.reported_kills(REPORT)
    killed = stage.run_out_of_memory()
    eventually(lambda: stage.reported_kills(REPORT), lambda seen: seen > reported, deadline=120)

    assert killed
    assert list(OF_POLICIES[: len(killed)]) == killed
    ended = stage.container(REPORT)["lastState"]["terminated"]
    assert ("OOMKilled", 137) == (ended["reason"], ended["exitCode"])
    assert "pod/report" in stage.cluster.kubectl(
        "get", "events", "--namespace=batch", f"--field-selector=reason={KILLED}"
    )


def test_the_uninstall_restores_every_process(without_module: Stage, original: dict[str, set[int]]) -> None:
    """Each pod has the value that the kubelet gave it, and so has the container that was restarted meanwhile."""
    node = without_module.cluster
    await_all_running(without_module)
    before = read(node)
    node.helm("uninstall", "oompolicy")

    assert original == values(without_module)
    assert [] == [each for each in changed(before, read(node)) if not each[0].may_change]
    assert not any(each.name.startswith("oompolicy-adj") for each in read(node).values())
