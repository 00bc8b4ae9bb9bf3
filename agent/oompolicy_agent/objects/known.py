# SPDX-License-Identifier: Apache-2.0
"""Resolves the priorities of this node's pods from the last good manifests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oompolicy.model import Defaults
from oompolicy.policyhash import policy_hash
from oompolicy.resolve import resolve
from oompolicy_agent.objects.trim import trim

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy.manifests import Manifests
    from oompolicy.model import Assignment, Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint

Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ResolvedPods:
    """A good state: pods and their assignments.

    `objects_json` has the objects for the checkpoint as text, which takes less memory than raw objects.
    """

    pods: tuple[Pod, ...]
    assignments: tuple[Assignment, ...]
    policy_hash: str
    objects_json: str


def decide(manifests: Manifests, node: str, defaults: Defaults) -> ResolvedPods:
    """Return the state that the manifests give to the pods of `node`. Pure."""
    pods = tuple(pod for pod in manifests.pods if pod.node_name == node)
    uids = {pod.uid for pod in pods}
    kept = [trim(raw) for _, raw in manifests.objects if _belongs_in_checkpoint(raw, uids)]
    return ResolvedPods(
        pods,
        resolve(manifests.policies, manifests.namespaces, pods, defaults),
        policy_hash(manifests.policies),
        json.dumps(kept, ensure_ascii=False),
    )


def _belongs_in_checkpoint(raw: Mapping[str, Any], uids: set[str]) -> bool:
    """Return False for pods of other nodes, and for OOMSettings: the checkpoint has its values instead."""
    if raw["kind"] == "Pod":
        return raw["metadata"]["uid"] in uids
    return bool(raw["kind"] != "OOMSettings")


def restored(checkpoint: Checkpoint, node: str) -> ResolvedPods | None:
    """Return the state from the checkpoint, or None if this version finds its manifests invalid."""
    from oompolicy.manifests import manifests_from_checkpoint  # noqa: PLC0415

    manifests = manifests_from_checkpoint(checkpoint.manifests)
    return None if manifests.problems else decide(manifests, node, checkpoint.defaults or Defaults())


def fingerprint(folder: Path) -> Fingerprint:
    """Return a value that changes with the files of the folder, for changes that inotify does not report.

    It is empty if the folder cannot be read.
    """
    try:
        return tuple(sorted(_file(path) for path in folder.iterdir()))
    except OSError:
        return ()


def _file(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return path.name, 0, 0, 0
    return path.name, stat.st_ino, stat.st_mtime_ns, stat.st_size
