# SPDX-License-Identifier: Apache-2.0
"""Fills the maps before the first program attaches: settings, class defaults, and what the checkpoint knows.

What is there already stays: on an upgrade the entries are the agent's, and newer than its checkpoint.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from typing import TYPE_CHECKING, Final

from oompolicy.manifests import manifests_from_checkpoint
from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import Settings
from oompolicy_agent.kernel.maps import Map, PriorityMap, libbpf
from oompolicy_agent.loader import plain
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.mapping.claims import settle
from oompolicy_agent.mapping.desired import desired, kept, unclaimed
from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.objects import checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.loader.batch import Batch
    from oompolicy_agent.mapping.cgroups import Tree
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.objects.checkpoint import Checkpoint

log = logging.getLogger(__name__)

PAGE_SHIFT: Final = os.sysconf("SC_PAGESIZE").bit_length() - 1

_LIMIT: Final = 12 << 20
"""Bytes. A checkpoint has a few KB per pod. Python needs up to 27 bytes for a byte of JSON such as `[],[],`, and a
loader that exceeds its container's memory limit (512 MiB in the chart) would be killed at each start.
"""


def fill_settings(pin: Path, host_priority: int) -> None:
    """Write the only element, and read it back."""
    wanted, found, zero = Settings(host_priority=host_priority, page_shift=PAGE_SHIFT), Settings(), ctypes.c_uint32()
    with Map(pin) as settings:
        lib = libbpf()
        written = lib.bpf_map_update_elem(settings.fd, ctypes.byref(zero), ctypes.byref(wanted), 0)
        read = lib.bpf_map_lookup_elem(settings.fd, ctypes.byref(zero), ctypes.byref(found))
    if written or read or bytes(found) != bytes(wanted):
        raise LoaderError(f"{pin} does not hold what was written to it")


def fill_priorities(pin: Path, cgroup_root: Path, last: Checkpoint | None, batch: Batch) -> int:
    """Add the entries that are missing, and read them back; how many are missing."""
    with PriorityMap(pin) as priorities:
        added = missing(wanted(scan(cgroup_root), last, checkpoint.boot_id()), batch.read(priorities))
        try:
            batch.write(priorities, added)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            log.warning("%s is full: some of the %d entries that it lacks are left out", pin, len(added))
            return len(added)
        lost = missing(added, batch.read(priorities))
        # A cgroup that went meanwhile has taken its entry along.
        if lost and (lost := {key: lost[key] for key in lost.keys() & scan(cgroup_root).ids}):
            raise LoaderError(f"{pin} does not hold {len(lost)} of the {len(added)} entries written to it")
    return len(added)


def wanted(tree: Tree, last: Checkpoint | None, boot: str = "") -> Mapping[int, Value]:
    """Class defaults on the QoS slices, and the checkpoint's pods where they have a cgroup now.

    Pods are found by uid and containers by id, never by cgroup id: a checkpoint from before a reboot is as good.
    What is there of pods without an object is found by cgroup id, in a checkpoint of this boot, whose id is `boot`.
    """
    known = manifests_from_checkpoint(last.manifests if last else ())
    defaults = Defaults()
    index = CgroupOwners()
    if last and last.boot_id == boot:
        index.restore(last.index, 0.0)
    assignments = resolve(known.policies, known.namespaces, known.pods, defaults)
    settled = settle(known.pods, assignments, tree, index.get, defaults)
    entries = desired(settled.assignments, settled.pods, tree, defaults).entries
    return {**entries, **kept(unclaimed(tree, settled.pods), index.get)}


def missing(entries: Mapping[int, Value], found: Mapping[int, tuple[int, int]]) -> dict[int, Value]:
    """Those of `entries` whose cgroup has none in `found`."""
    return {cgroup_id: value for cgroup_id, value in entries.items() if cgroup_id not in found}


def load_checkpoint(path: Path) -> Checkpoint | None:
    """None where there is none that can be used: the class defaults hold then."""
    try:
        content = plain.read(path, _LIMIT)
        return checkpoint.parse(content) if content is not None else None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("checkpoint %s cannot be used and is left out: %s", path, error)
        return None
