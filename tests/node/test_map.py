# SPDX-License-Identifier: Apache-2.0
"""The entries of cgroups, from their creation to their removal."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import MAX_ENTRIES, CgroupChange, CgroupRecord, Stat
from oompolicy_agent.kernel.maps import RingBuffer
from tests.node.policy import BPFFS
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy


def test_the_kernel_deletes_the_entry_of_a_removed_cgroup(node: Node, policy: Policy) -> None:
    """The kernel deletes the entry at rmdir without an agent."""
    cgroup = node.cgroup("gone/child")
    cgroup_id, before = cgroup.id, policy.stat(Stat.ENTRIES_DELETED)
    policy.set({cgroup: 100})
    cgroup.remove()

    assert policy.entries.get(cgroup_id) is None
    assert before + 1 == policy.stat(Stat.ENTRIES_DELETED)


def test_created_and_removed_cgroups_are_reported(node: Node, policy: Policy) -> None:
    """mkdir and rmdir write a record with the cgroup's id and its parent's id into the ring buffer."""
    assert policy
    parent = node.cgroup("parent")
    seen: list[CgroupRecord] = []
    with RingBuffer(BPFFS / "maps/cgroups", lambda raw: seen.append(CgroupRecord.from_buffer_copy(raw))) as ring:
        ring.consume()
        seen.clear()
        child = parent.child("child")
        child_id = child.id
        child.remove()
        ring.consume()

    assert [
        (child_id, parent.id, CgroupChange.MKDIR, 2),
        (child_id, parent.id, CgroupChange.RMDIR, 2),
    ] == [(record.cgroup_id, record.parent_id, record.change, record.level) for record in seen]


def test_a_full_map_refuses_new_entries_and_keeps_the_others(pod: Pod, policy: Policy) -> None:
    """A full map refuses a new entry with E2BIG. Its entries decide as before."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})
    unused = range(1 << 40, (1 << 40) + MAX_ENTRIES)
    for key in unused[: MAX_ENTRIES - 2]:
        policy.entries.put(key, 500, 0)
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        policy.entries.put(unused[-1], 500, 0)

    assert small is pod.first_victim()
    for key in unused[: MAX_ENTRIES - 2]:
        policy.entries.delete(key)
