# SPDX-License-Identifier: Apache-2.0
"""memory.oom.group: Kubernetes sets it on containers, so one choice kills the whole container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.layout import VictimFlag
from tests.node.policy import flags
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.policy import Policy


def test_every_member_of_a_group_is_reported(pod: Pod, policy: Policy) -> None:
    """All processes of the chosen container die, each with a record; one was chosen, the others went with it."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    members = [pod.hog("group", mib) for mib in (4, 8, 6)]
    other = pod.hog("other", 28)
    policy.set({container: 100, cgroup_of(other): 200})

    dead = pod.run_out_of_memory()

    assert {member.pid for member in members} == {hog.pid for hog in dead[:3]}
    records = {record.victim_tgid: flags(record) for record in policy.records()}
    assert [hog.pid for hog in dead] == list(records)
    assert [False, True, True] == [VictimFlag.GROUP in found for found in records.values()][:3]


def test_group_of_higher_priority_is_spared(pod: Pod, policy: Policy) -> None:
    """A container is no worse off for having several processes: the other one is first."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    for _ in range(2):
        pod.hog("group", 14)
    other = pod.hog("other", 12)
    policy.set({container: 900, cgroup_of(other): 100})

    assert other is pod.first_victim()
