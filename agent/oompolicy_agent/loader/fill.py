# SPDX-License-Identifier: Apache-2.0
"""Fills the maps before the first program attaches: settings, class defaults, and the priorities of the checkpoint.

Existing entries stay: on an upgrade the agent wrote them, and they are newer than its checkpoint. Entries are written
and read in batches through bcc, or one by one through libbpf if bcc is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from oompolicy.manifests import manifests_from_checkpoint
from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import HOST_PRIORITY, Entry, KernelMode, Settings
from oompolicy_agent.kernel.maps import PriorityMap, SettingsMap
from oompolicy_agent.loader import safefiles
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.mapping.claims import settle
from oompolicy_agent.mapping.desired import desired, kept, static_defaults, unclaimed
from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.objects import checkpoint
from oompolicy_agent.plumbing.libc import last_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy.oomsettings import Mode
    from oompolicy_agent.mapping.cgroups import Tree
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.objects.checkpoint import Checkpoint

log = logging.getLogger(__name__)

PAGE_SHIFT: Final = os.sysconf("SC_PAGESIZE").bit_length() - 1

_LIMIT: Final = 12 << 20
"""Bytes. A checkpoint has a few KB per pod. Python needs up to 27 bytes for a byte of JSON such as `[],[],`, and a
loader that exceeds its container's memory limit (512 MiB in the chart) would be killed at each start.
"""


def fill_settings(pin: Path, mode: KernelMode, host_priority: int) -> None:
    """Write the settings, and read them back. LoaderError if other settings are read.

    The settings in the map are newer than these, because the agent writes them, so they stay. The loader adds the page
    size.
    """
    with SettingsMap(pin) as settings:
        before = settings.read()
        wanted = before if before.page_shift else Settings(mode=mode, host_priority=host_priority)
        wanted.page_shift = PAGE_SHIFT
        settings.write(wanted)
        found = settings.read()
    if bytes(found) != bytes(wanted):
        raise LoaderError(f"{pin} does not hold the settings that the loader wrote to it")


def fill_priorities(pin: Path, cgroup_root: Path, last: Checkpoint | None, access: EntryAccess) -> int:
    """Add the missing entries, read them back, and return their number. LoaderError if an entry is not read back.

    A full map is no error: then some of the missing entries are left out.
    """
    with PriorityMap(pin) as priorities:
        added = missing_entries(wanted_entries(scan(cgroup_root), last, checkpoint.boot_id()), access.read(priorities))
        try:
            access.write(priorities, added)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            log.warning("%s is full: some of its %d missing entries are left out", pin, len(added))
            return len(added)
        lost = missing_entries(added, access.read(priorities))
        # The kernel removes the entry of a cgroup that was removed meanwhile.
        if lost and (lost := {key: lost[key] for key in lost.keys() & scan(cgroup_root).ids}):
            raise LoaderError(f"{pin} does not hold {len(lost)} of the {len(added)} entries that were written to it")
    return len(added)


def first_mode(last: Checkpoint | None, otherwise: Mode) -> KernelMode:
    """Return the mode of a node whose map has none yet: the mode in the checkpoint, or else the given mode."""
    mode = last.mode if last and last.mode else otherwise
    return KernelMode[mode.name]


def first_host_priority(last: Checkpoint | None) -> int:
    """Return the priority of processes in no pod on a node whose map has none yet: that of the checkpoint, or 1000."""
    return HOST_PRIORITY if last is None or last.host_priority is None else last.host_priority


def wanted_entries(tree: Tree, last: Checkpoint | None, boot: str = "") -> Mapping[int, Value]:
    """Return the class defaults of the QoS slices, and the entries of the checkpoint's pods that have a cgroup now.

    A static pod that is not in the checkpoint has the default of static pods.

    Pods are matched by uid and containers by id, never by cgroup id, so a checkpoint from before a reboot is valid.
    The cgroups of pods without an object are matched by cgroup id, but only if the checkpoint is of the boot with the
    id `boot`.
    """
    known = manifests_from_checkpoint(last.manifests if last else ())
    defaults = last.defaults if last and last.defaults else Defaults()
    index = CgroupOwners()
    if last and last.boot_id == boot:
        index.restore(last.index, 0.0)
    assignments = resolve(known.policies, known.namespaces, known.pods, defaults)
    settled = settle(known.pods, assignments, tree, index.get, defaults)
    entries = desired(settled.assignments, settled.pods, tree, defaults).entries
    static = static_defaults(tree, settled.pods, defaults)
    return {**entries, **static, **kept(unclaimed(tree, settled.pods), index.get)}


def missing_entries(entries: Mapping[int, Value], found: Mapping[int, tuple[int, int]]) -> dict[int, Value]:
    """Return those of `entries` whose cgroup has no entry in `found`."""
    return {cgroup_id: value for cgroup_id, value in entries.items() if cgroup_id not in found}


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint, or None if there is no valid one. The class defaults apply in that case."""
    try:
        content = safefiles.read(path, _LIMIT)
        return checkpoint.parse(content) if content is not None else None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("checkpoint %s is not used, and pods get the defaults of their classes: %s", path, error)
        return None


class EntryAccess(Protocol):
    """Writes and reads entries of `cgroup_priority`. Every method may raise OSError."""

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """Create or replace `entries`."""

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """Return all entries: cgroup id -> (priority, memory request in bytes)."""


class OneByOne:
    """Access through libbpf, with one system call per entry."""

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """See `EntryAccess`."""
        for cgroup_id, value in entries.items():
            priorities.put(cgroup_id, value.priority, value.memory_request)

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """See `EntryAccess`."""
        return priorities.entries()


class BCCBatch:
    """Access through libbcc, with one system call for all entries."""

    def __init__(self, lib: Any) -> None:  # noqa: ANN401 (bcc has no types)
        """Take `bcc.libbcc.lib`."""
        self._lib = lib

    def write(self, priorities: PriorityMap, entries: Mapping[int, Value]) -> None:
        """See `EntryAccess`."""
        if not entries:
            return
        keys = (ctypes.c_uint64 * len(entries))(*entries)
        values = (Entry * len(entries))(
            *(Entry(memory_request=v.memory_request, priority=v.priority) for v in entries.values())
        )
        count = ctypes.c_uint32(len(entries))
        if self._lib.bpf_update_batch(priorities.fd, keys, values, ctypes.byref(count)) != 0:
            raise last_error(priorities.path)

    def read(self, priorities: PriorityMap) -> Mapping[int, tuple[int, int]]:
        """See `EntryAccess`."""
        capacity = priorities.info().max_entries
        keys, values = (ctypes.c_uint64 * capacity)(), (Entry * capacity)()
        count, place = ctypes.c_uint32(capacity), ctypes.c_uint32()
        # The buffer is large enough for a full map, so the first call reaches the end and reports that with ENOENT.
        result = self._lib.bpf_lookup_batch(priorities.fd, None, ctypes.byref(place), keys, values, ctypes.byref(count))
        if result != 0 and ctypes.get_errno() != errno.ENOENT:
            raise last_error(priorities.path)
        return {keys[i]: (values[i].priority, values[i].memory_request) for i in range(count.value)}


def choose_access() -> EntryAccess:
    """Return access through libbcc if bcc is installed. Otherwise libbpf does the same with more system calls."""
    try:
        # Not at the top of the file: the import maps LLVM (72 MB), also in a loader that fills no map.
        from bcc.libbcc import lib  # noqa: PLC0415
    except (ImportError, OSError):
        return OneByOne()
    return BCCBatch(lib)
