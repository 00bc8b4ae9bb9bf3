# SPDX-License-Identifier: Apache-2.0
"""Writes and reads `cgroup_priority` in batches through bcc, or entry by entry through libbpf where bcc is missing."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Any, Protocol

from oompolicy_agent.kernel.layout import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.kernel.maps import PriorityMap
    from oompolicy_agent.mapping.desired import Value


class Batch(Protocol):
    """How entries get in and out of the map. All may raise OSError."""

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """Create or replace these."""

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """All entries: cgroup id -> (priority, memory request in bytes)."""


class OneByOne:
    """libbpf: a system call per entry."""

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """See `Batch`."""
        for cgroup_id, value in entries.items():
            priorities.put(cgroup_id, value.priority, value.memory_request)

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """See `Batch`."""
        return priorities.entries()


class BCC:
    """libbcc: one system call for all, or as many as the buffer takes."""

    def __init__(self, lib: Any) -> None:  # noqa: ANN401 (bcc has no types)
        """`lib` is `bcc.libbcc.lib`."""
        self._lib = lib

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """See `Batch`."""
        if not entries:
            return
        keys = (ctypes.c_uint64 * len(entries))(*entries)
        values = (Entry * len(entries))(
            *(Entry(memory_request=v.memory_request, priority=v.priority) for v in entries.values())
        )
        count = ctypes.c_uint32(len(entries))
        if self._lib.bpf_update_batch(priorities.fd, keys, values, ctypes.byref(count)) != 0:
            raise _error(priorities)

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """See `Batch`."""
        room = priorities.info().max_entries
        keys, values = (ctypes.c_uint64 * room)(), (Entry * room)()
        count, place = ctypes.c_uint32(room), ctypes.c_uint32()
        # The buffer takes a full map, so the first call sees the end of it and says so with ENOENT.
        result = self._lib.bpf_lookup_batch(priorities.fd, None, ctypes.byref(place), keys, values, ctypes.byref(count))
        if result != 0 and ctypes.get_errno() != errno.ENOENT:
            raise _error(priorities)
        return {keys[i]: (values[i].priority, values[i].memory_request) for i in range(count.value)}


def choose() -> Batch:
    """What this node has: libbcc, else libbpf, which does the same in more system calls."""
    try:
        # Not at the top: it maps LLVM (72 MB), for nothing where nothing is to be filled.
        from bcc.libbcc import lib  # noqa: PLC0415
    except (ImportError, OSError):
        return OneByOne()
    return BCC(lib)


def _error(priorities: PriorityMap) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(priorities.path))
