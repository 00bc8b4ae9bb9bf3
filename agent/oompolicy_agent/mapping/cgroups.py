# SPDX-License-Identifier: Apache-2.0
"""Read the cgroup v2 tree into a frozen snapshot: QoS slices, pods and containers, each with its id.

The id is the inode number of the directory. On 64-bit kernels kernfs gives both the same 64 bits.
A cgroup that vanishes during the read is left out, and is no error.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from oompolicy.model import QOSClass
from oompolicy_agent.kernel.layout import LEVELS
from oompolicy_agent.plumbing.libc import filesystem_magic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

CGROUP2_MAGIC: Final = 0x63677270
"""The constant CGROUP2_SUPER_MAGIC in include/uapi/linux/magic.h."""

# The kubelet names them in pkg/kubelet/cm/cgroup_manager_linux.go. systemd repeats every parent in a slice's name
# and has no "-" in a uid. A static pod's uid is an MD5 without dashes (pkg/kubelet/config/common.go), or any text
# that its manifest sets, so only the place of the cgroup shows that it belongs to a pod.
_KUBEPODS: Final = re.compile(r"^(?:.*-)?kubepods(?:\.slice)?$")
_QOS: Final = re.compile(r"^(?:(?:.*-)?kubepods-)?(burstable|besteffort)(?:\.slice)?$")
_POD: Final = re.compile(r"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$")
# "crio-conmon-<id>.scope" holds CRI-O's monitor, not the container, and does not match.
_CONTAINER: Final = re.compile(r"^(?:(?:cri-containerd|crio|docker)-)?([0-9a-f]{64})(?:\.scope)?$")
_OUTSIDE: Final = re.compile(
    r"(?:^|[-/])pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
    r"(?::[^:/]*:([0-9a-f]{12,64})|/(?:(?:cri-containerd|crio|docker)-)?([0-9a-f]{64})(?:\.scope)?)$"
)
_HASH: Final = re.compile(r"[0-9a-f]{32}")
_CLASSES: Final = {"burstable": QOSClass.BURSTABLE, "besteffort": QOSClass.BEST_EFFORT}

# A directory that cannot be listed for one of these is gone, or somebody's delegated subtree: a closed one, or one with
# a path that is too long for the kernel's calls. No cgroup of a pod or of its container has such a path.
_SKIPPED: Final = {errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG}


class NotCgroup2Error(Exception):
    """The folder is not a cgroup v2 mount. The message is a sentence for the node's owner."""


@dataclass(frozen=True, slots=True)
class Name:
    """The parsed name of a cgroup. `value` is the QoS class, the pod uid with dashes, or the container id."""

    kind: Literal["kubepods", "qos", "pod", "container"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class CgroupDir:
    """The id and the path of one cgroup."""

    id: int
    path: str


@dataclass(frozen=True, slots=True)
class SliceCgroup:
    """The cgroup of a QoS class, or a kubepods root with `qos` None. Guaranteed pods are directly below the root."""

    id: int
    path: str
    qos: QOSClass | None


@dataclass(frozen=True, slots=True)
class PodCgroup:
    """The cgroup of a pod. `containers` has its containers by id, with the sandbox if it has a cgroup."""

    id: int
    path: str
    qos: QOSClass
    containers: Mapping[str, CgroupDir] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tree:
    """The snapshot of the tree. `pods` is keyed by the uid in the name of the cgroup, always with dashes."""

    root_id: int
    slices: tuple[SliceCgroup, ...] = ()
    pods: Mapping[str, PodCgroup] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[int]:
        """The ids of all cgroups in the snapshot."""
        pods = self.pods.values()
        return frozenset(
            [s.id for s in self.slices] + [p.id for p in pods] + [c.id for p in pods for c in p.containers.values()]
        )

    @property
    def roots(self) -> tuple[str, ...]:
        """The paths of the kubepods roots, for the next `scan`."""
        return tuple(s.path for s in self.slices if s.qos is None)


def parse_path(segments: Iterable[str]) -> tuple[Name | None, ...]:
    """Return the meaning of each name of a path, from the root of the tree down.

    Pods are directly below kubepods or a QoS class, and containers directly below a pod. Names above kubepods mean
    nothing (a node can be a container itself), and neither do names inside a container.
    """
    found: list[Name | None] = []
    above, kind = "", ""
    for segment in segments:
        name = _below(kind, above, segment)
        # From kubepods on, a name without a meaning ends the meaning of all names below it.
        above, kind = segment, name.kind if name else "other" if kind else ""
        found.append(name)
    return tuple(found)


def parse_outside(segments: Sequence[str]) -> tuple[str, str] | None:
    """Return pod uid and container id of a container outside of its pod's cgroup, or None for other paths.

    This happens if kubelet and runtime use different cgroup drivers (kubernetes/kubernetes#106514): runc takes the
    arguments for systemd, SLICE:PREFIX:ID, as a name, or the slice as the name of a parent.
    Such a name is longer than the field in a victim's record, so the id may have only its first digits.
    """
    if any(name and name.kind == "pod" for name in parse_path(segments)):
        return None
    for parent, segment in zip(["", *segments], segments, strict=False):
        if found := _OUTSIDE.search(f"{parent}/{segment}"):
            return found[1].replace("_", "-"), found[2] or found[3]
    return None


def _below(kind: str, parent: str, segment: str) -> Name | None:
    """Return the meaning of `segment` directly below a parent of `kind`. The kind is "" above kubepods."""
    if kind in ("kubepods", "qos"):
        return _in_slice(parent, segment)
    name = parse_name(segment)
    wanted = {"": "kubepods", "pod": "container"}.get(kind)
    return name if name and name.kind == wanted else None


def _in_slice(parent: str, segment: str) -> Name | None:
    stem = segment.removesuffix(".slice")
    prefix = "pod" if stem == segment else f"{parent.removesuffix('.slice')}-pod"
    if stem.startswith(prefix) and stem != prefix:
        # Kubelet allows no "_" in a uid, so that the way back from systemd's name is clear (NewCgroupName).
        return Name("pod", stem.removeprefix(prefix).replace("_", "-"))
    name = parse_name(segment)
    return name if name and name.kind in ("qos", "pod") else None


def parse_name(segment: str) -> Name | None:
    """Return the meaning of a directory name, or None. A bare container id always counts as a container."""
    if _KUBEPODS.match(segment):
        return Name("kubepods")
    if qos := _QOS.match(segment):
        return Name("qos", _CLASSES[qos[1]])
    if pod := _POD.search(segment):
        return Name("pod", pod[1].replace("_", "-"))
    if container := _CONTAINER.match(segment):
        return Name("container", container[1])
    return None


def is_of_static_pod(uid: str) -> bool:
    """Return True if the uid in a cgroup's name is the hash of a static pod.

    Uids of the API server have dashes, and no user can set them.
    """
    return bool(_HASH.fullmatch(uid))


def is_cgroup2(root: Path) -> bool:
    """Return True if `root` is on a cgroup v2 file system. Raise OSError if that cannot be read."""
    return filesystem_magic(root) == CGROUP2_MAGIC


def scan(root: Path, roots: Iterable[str] = (), *, check: Callable[[Path], bool] = is_cgroup2) -> Tree:
    """Return the snapshot of the tree at `root`. With the `roots` of an earlier snapshot, only these are read.

    Raises:
        NotCgroup2Error: `root` is no cgroup v2 mount.
        OSError: The tree cannot be read.
    """
    if not check(root):
        raise NotCgroup2Error(f"{root} is not a cgroup v2 mount: this node's pods cannot be found")
    slices: list[SliceCgroup] = []
    pods: dict[str, PodCgroup] = {}
    # The outermost root comes first, and a pod that was found there stays there.
    for kubepods in filter(None, map(_directory, roots or find_roots(root))):
        slices.append(SliceCgroup(kubepods.id, kubepods.path, None))
        _scan_slice(kubepods, QOSClass.GUARANTEED, slices, pods)
    return Tree(root.stat().st_ino, tuple(slices), pods)


def find_roots(root: Path) -> tuple[str, ...]:
    """Return the kubepods roots, the outermost first.

    There are several if the kubelet's driver was changed. They are deep in the tree if the node is a container (kind).
    Every user and service of the host has a cgroup below which it may create a `kubepods` of its own. So a root counts
    if the owner of the tree created it, which is root. If there is no such root, all count (rootless nodes).
    """
    found, level = list[str](), [str(root)]
    for _ in range(LEVELS):
        below = [child for path in level for child in _children(path)]
        found += [child.path for child in below if _KUBEPODS.match(_segment(child))]
        level = [child.path for child in below if not _KUBEPODS.match(_segment(child))]
    owner = root.stat().st_uid
    return tuple(path for path in found if _uid(path) == owner) or tuple(found)


def _scan_slice(parent: CgroupDir, qos: QOSClass, slices: list[SliceCgroup], pods: dict[str, PodCgroup]) -> None:
    for child in _children(parent.path):
        name = _in_slice(_segment(parent), _segment(child))
        if name is None:
            continue
        if name.kind == "qos":
            below = QOSClass(name.value)
            slices.append(SliceCgroup(child.id, child.path, below))
            _scan_slice(child, below, slices, pods)
        else:
            pod, before = PodCgroup(child.id, child.path, qos, _containers(child)), pods.get(name.value)
            # The trees of both drivers can exist until the next boot. Only one of them has the pod's containers.
            if before is None or (pod.containers and not before.containers):
                pods[name.value] = pod


def _containers(pod: CgroupDir) -> dict[str, CgroupDir]:
    named = ((parse_name(_segment(child)), child) for child in _children(pod.path))
    return {name.value: child for name, child in named if name is not None and name.kind == "container"}


def _children(path: str) -> list[CgroupDir]:
    # d_ino and st_ino are the same number here: both come from kernfs_ino() (fs/kernfs/dir.c, kernfs_fop_readdir).
    try:
        with os.scandir(path) as entries:
            return [CgroupDir(entry.inode(), entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _SKIPPED:
            return []
        raise


def _directory(path: str) -> CgroupDir | None:
    try:
        return CgroupDir(os.stat(path).st_ino, path)  # noqa: PTH116 (hundreds of times a second in a rush of pods)
    except FileNotFoundError:
        return None


def _uid(path: str) -> int | None:
    """Return the owner of a directory, or None if it no longer exists."""
    try:
        return os.stat(path).st_uid  # noqa: PTH116 (as above)
    except FileNotFoundError:
        return None


def _segment(directory: CgroupDir) -> str:
    return directory.path.rpartition("/")[2]
