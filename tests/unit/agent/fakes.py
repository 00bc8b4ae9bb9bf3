# SPDX-License-Identifier: Apache-2.0
"""A cgroup tree in a folder, pods and kernel records, which name only the fields that a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.model import Container, Pod, QOSClass
from oompolicy_agent.kernel.layout import LEVELS, NAME, NO_LEVEL, VictimFlag, VictimRecord
from oompolicy_agent.mapping.cgroups import Tree, scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UID: Final = "0cf04643-bc8f-41cc-8570-f0ae38ab242e"
STATIC_UID: Final = "d41d8cd98f00b204e9800998ecf8427e"
APP: Final = "ab" * 32
PAUSE: Final = "cd" * 32
SYSTEMD: Final = (
    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0cf04643_bc8f_41cc_8570_f0ae38ab242e.slice"
)
BOOT: Final = "b0071d00-0000-4000-8000-000000000000"


def make(root: Path, *paths: str) -> list[int]:
    """Make cgroups and return their ids."""
    for path in paths:
        (root / path).mkdir(parents=True, exist_ok=True)
    return [id_of(root, path) for path in paths]


def id_of(root: Path, path: str) -> int:
    return (root / path).stat().st_ino


def tree_of(root: Path) -> Tree:
    return scan(root, check=lambda _: True)


def pod(
    name: str = "web-0",
    *,
    uid: str = UID,
    cgroup_uid: str | None = None,
    containers: dict[str, Sequence[str]] | None = None,
    qos: QOSClass = QOSClass.BURSTABLE,
    phase: str = "Running",
    node: str = "node-1",
) -> Pod:
    ids = {"app": (APP,)} if containers is None else containers
    return Pod(
        uid=uid,
        namespace="team-a",
        name=name,
        node_name=node,
        labels={},
        annotations={},
        qos_class=qos,
        priority_class_name=None,
        containers=tuple(Container(each, "container", tuple(ids[each]), 1 << 20) for each in ids),
        cgroup_uid=cgroup_uid or uid,
        phase=phase,
        memory_request=2 << 20,
    )


def raw_pod(name: str = "web-0", *, uid: str = UID, node: str = "node-1", **containers: str) -> dict[str, Any]:
    ids = containers or {"app": APP}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team-a", "uid": uid, "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": each, "env": [{"name": "PW", "value": "x"}]} for each in ids],
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "containerStatuses": [{"name": each, "containerID": f"containerd://{ids[each]}"} for each in ids],
        },
    }


def raw_policy(name: str = "web", value: int = 300) -> dict[str, Any]:
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"match": {"podSelector": {"matchLabels": {"app": "web"}}}, "priority": {"value": value}},
    }


def record(path: str = "/", ids: Sequence[int] = (1,), **fields: Any) -> VictimRecord:  # noqa: ANN401
    """Return the record of a victim in the cgroup `path`. All lists of ids begin at the root."""
    made = VictimRecord(
        boottime_ns=1_000_000_000,
        start_boottime_ns=5,
        victim_tgid=4711,
        victim_comm=b"java",
        trigger_comm=b"java",
        trigger_tgid=4711,
        level=len(ids) - 1,
        priority_level=NO_LEVEL,
        trigger_level=NO_LEVEL,
        spared_level=NO_LEVEL,
        priority=1000,
        victim_cgroup_id=ids[-1],
        flags=VictimFlag.SELECTED,
    )
    for who in ("trigger", "spared"):
        if along := fields.pop(f"{who}_cgroup_ids", ()):
            getattr(made, f"{who}_cgroup_ids")[: len(along[:LEVELS])] = along[:LEVELS]
            setattr(made, f"{who}_level", len(along) - 1)
            setattr(made, f"{who}_cgroup_id", along[-1])
    for name, value in fields.items():
        setattr(made, name, value)
    for level, (name, cgroup_id) in enumerate(zip(["", *path.strip("/").split("/")], ids, strict=False)):
        made.cgroup_names[level].value = name.encode()[: NAME - 1]  # as the kernel cuts it
        made.cgroup_ids[level] = cgroup_id
    return made


def old_record(made: VictimRecord) -> bytes:
    """Return the same victim in the 1,456 bytes of the previous version, by the offsets of its header."""
    raw = bytes(made)
    # Without trigger_cgroup_ids and spared_cgroup_ids (2 x 96 bytes), trigger_level and spared_level (2 x 4 bytes).
    return raw[:192] + raw[384:448] + raw[456:]


def ids_along(root: Path, path: str) -> list[int]:
    """Return the id of every cgroup from `root` down to `path`."""
    parts = path.split("/")
    return [id_of(root, "/".join(parts[:depth])) for depth in range(len(parts) + 1)]
