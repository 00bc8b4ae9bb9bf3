# SPDX-License-Identifier: Apache-2.0
"""What the agent goes by: the last good manifests, resolved for this node's pods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oompolicy.policyhash import policy_hash
from oompolicy.resolve import resolve
from oompolicy_agent.objects.trim import trim

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.manifests import Manifests
    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.objects.checkpoint import Checkpoint

Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ResolvedPods:
    """One good state. `objects_json` is for the checkpoint: raw objects are not kept in memory."""

    pods: tuple[Pod, ...]
    assignments: tuple[Assignment, ...]
    policy_hash: str
    objects_json: str


def decide(manifests: Manifests, node: str, defaults: Defaults) -> ResolvedPods:
    """Resolve the pods of `node`. Pure."""
    pods = tuple(pod for pod in manifests.pods if pod.node_name == node)
    uids = {pod.uid for pod in pods}
    kept = [trim(raw) for _, raw in manifests.objects if raw["kind"] != "Pod" or raw["metadata"]["uid"] in uids]
    return ResolvedPods(
        pods,
        resolve(manifests.policies, manifests.namespaces, pods, defaults),
        policy_hash(manifests.policies),
        json.dumps(kept, ensure_ascii=False),
    )


def restored(checkpoint: Checkpoint, node: str, defaults: Defaults) -> ResolvedPods | None:
    """What an earlier agent knew; None where its manifests are not valid any more."""
    from oompolicy.manifests import manifests_from_checkpoint  # noqa: PLC0415

    manifests = manifests_from_checkpoint(checkpoint.manifests)
    return None if manifests.problems else decide(manifests, node, defaults)


def fingerprint(folder: Path) -> Fingerprint:
    """Changes when a file of the folder does: for what inotify does not tell. Empty where there is no folder."""
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
