# SPDX-License-Identifier: Apache-2.0
"""Pods and containers are found in every cgroup tree that kubelet and container runtimes make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import QOSClass
from oompolicy_agent.mapping.cgroups import (
    Name,
    NotCgroup2Error,
    is_cgroup2,
    parse_name,
    parse_outside,
    parse_path,
    scan,
)
from tests.unit.agent.fakes import APP, PAUSE, STATIC_UID, SYSTEMD, UID, id_of, make, tree_of

if TYPE_CHECKING:
    from pathlib import Path

DASHED = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("kubepods", Name("kubepods")),
        ("kubepods.slice", Name("kubepods")),
        ("kubelet-kubepods.slice", Name("kubepods")),
        ("kubepods-burstable.slice", Name("qos", "Burstable")),
        ("kubelet-kubepods-besteffort.slice", Name("qos", "BestEffort")),
        ("burstable", Name("qos", "Burstable")),
        ("besteffort", Name("qos", "BestEffort")),
        (f"kubepods-pod{DASHED}.slice", Name("pod", UID)),
        (f"kubepods-burstable-pod{DASHED}.slice", Name("pod", UID)),
        (f"kubelet-kubepods-besteffort-pod{DASHED}.slice", Name("pod", UID)),
        (f"pod{UID}", Name("pod", UID)),
        (f"pod{STATIC_UID}", Name("pod", STATIC_UID)),
        (f"kubepods-burstable-pod{STATIC_UID}.slice", Name("pod", STATIC_UID)),
        (f"cri-containerd-{APP}.scope", Name("container", APP)),
        (f"crio-{APP}.scope", Name("container", APP)),
        (f"crio-{APP}", Name("container", APP)),
        (f"docker-{APP}.scope", Name("container", APP)),
        (APP, Name("container", APP)),
        (f"crio-conmon-{APP}.scope", None),
        (f"podman-{APP}.scope", None),
        ("pod12345", None),
        (f"notapod{UID}", None),
        ("system.slice", None),
        ("my-burstable-thing", None),
        ("", None),
    ],
)
def test_a_name_has_its_kind(segment: str, name: Name | None) -> None:
    """Each name is one segment of a path, as the kernel gives it with a victim."""
    assert name == parse_name(segment)


LAYOUTS = {
    "systemd, containerd": (SYSTEMD, f"cri-containerd-{APP}.scope", f"cri-containerd-{PAUSE}.scope"),
    "systemd, CRI-O": (SYSTEMD, f"crio-{APP}.scope", f"crio-conmon-{APP}.scope"),
    "systemd, docker": (SYSTEMD, f"docker-{APP}.scope", f"docker-{PAUSE}.scope"),
    "cgroupfs, containerd": (f"kubepods/burstable/pod{UID}", APP, PAUSE),
    "cgroupfs, CRI-O": (f"kubepods/burstable/pod{UID}", f"crio-{APP}", f"crio-conmon-{APP}"),
    "cgroup root of kubelet's own": (f"custom/kubepods/burstable/pod{UID}", APP, PAUSE),
    "kind, in its own cgroup namespace": (
        f"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{DASHED}.slice",
        f"cri-containerd-{APP}.scope",
        f"cri-containerd-{PAUSE}.scope",
    ),
    "kind, from its host": (
        f"system.slice/docker-{PAUSE}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
        f"kubelet-kubepods-burstable-pod{DASHED}.slice",
        f"cri-containerd-{APP}.scope",
        f"cri-containerd-{PAUSE}.scope",
    ),
}


@pytest.mark.parametrize(("pod", "app", "other"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_pod_and_its_containers_are_found(tmp_path: Path, pod: str, app: str, other: str) -> None:
    """This holds for each driver, runtime and depth. Each has the id of its directory."""
    make(tmp_path, f"{pod}/{app}", f"{pod}/{other}", "system.slice/sshd.service", "user.slice")
    found = tree_of(tmp_path).pods[UID]

    assert (id_of(tmp_path, pod), QOSClass.BURSTABLE) == (found.id, found.qos)
    assert found.containers[APP].id == id_of(tmp_path, f"{pod}/{app}")
    assert set(found.containers) <= {APP, PAUSE}
    assert ("conmon" in other) == (PAUSE not in found.containers)


@pytest.mark.parametrize(
    ("pod", "qos"),
    [
        (f"kubepods.slice/kubepods-pod{DASHED}.slice", QOSClass.GUARANTEED),
        (f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{DASHED}.slice", QOSClass.BURSTABLE),
        (f"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{DASHED}.slice", QOSClass.BEST_EFFORT),
        (f"kubepods/pod{UID}", QOSClass.GUARANTEED),
        (f"kubepods/burstable/pod{UID}", QOSClass.BURSTABLE),
        (f"kubepods/besteffort/pod{UID}", QOSClass.BEST_EFFORT),
    ],
)
def test_all_qos_classes_are_found(tmp_path: Path, pod: str, qos: QOSClass) -> None:
    """A Guaranteed pod is directly below kubepods."""
    make(tmp_path, pod)

    assert qos == tree_of(tmp_path).pods[UID].qos


@pytest.mark.parametrize(
    "paths",
    [
        ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice", "kubepods.slice/kubepods-besteffort.slice"),
        ("kubepods", "kubepods/burstable", "kubepods/besteffort"),
    ],
)
def test_slices_are_found(tmp_path: Path, paths: tuple[str, ...]) -> None:
    """The slices are kubepods and the two QoS classes that have a cgroup of their own."""
    ids = make(tmp_path, *paths)
    expected = zip(ids, (None, QOSClass.BURSTABLE, QOSClass.BEST_EFFORT), strict=True)

    assert set(expected) == {(s.id, s.qos) for s in tree_of(tmp_path).slices}


def test_a_static_pod_has_a_uid_without_dashes(tmp_path: Path) -> None:
    """The uid is that in the annotation kubernetes.io/config.hash."""
    make(tmp_path, f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC_UID}.slice")

    assert [STATIC_UID] == list(tree_of(tmp_path).pods)


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podstatic_web_1.slice", "static-web-1"),
        ("kubepods.slice/kubepods-podstatic_web_1.slice", "static-web-1"),
        ("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podstatic_web_1.slice", "static-web-1"),
        ("kubepods/besteffort/podstatic-web-1", "static-web-1"),
        ("kubepods/podmy-pod-1", "my-pod-1"),
        ("kubepods/podpod", "pod"),
    ],
)
def test_a_static_pod_may_have_any_uid(tmp_path: Path, path: str, uid: str) -> None:
    """The pod's manifest sets the uid, so the place of a cgroup shows that it is a pod's."""
    make(tmp_path, f"{path}/{APP}", "podruntime.slice", "kubepods/other")

    assert [uid] == list(tree_of(tmp_path).pods)
    assert [Name("pod", uid), Name("container", APP)] == list(parse_path(["", *path.split("/"), APP])[-2:])


def test_names_count_only_in_their_place() -> None:
    """A node that is a container has a container above kubepods, and containers may make cgroups below their own."""
    path = f"docker/{PAUSE}/kubepods/burstable/pod{UID}/crio-{APP}/kubepods/pod{STATIC_UID}/{PAUSE}"
    expected = (Name("kubepods"), Name("qos", "Burstable"), Name("pod", UID), Name("container", APP))

    assert (None, None, *expected, None, None, None) == parse_path(path.split("/"))
    assert (None, None) == parse_path([f"pod{UID}", APP])
    assert (Name("kubepods"), None, None) == parse_path(["kubepods", "other", f"pod{UID}"])


@pytest.mark.parametrize(
    "path",
    [
        f"system.slice/containerd.service/kubepods-burstable-pod{DASHED}.slice:cri-containerd:{APP}",
        f"kubepods-burstable-pod{DASHED}.slice:cri-containerd:{APP}",
        f"kubepods-besteffort-pod{DASHED}.slice:crio:{APP}/nested/{PAUSE}",
        f"system.slice/docker.service/kubepods-burstable-pod{DASHED}.slice/{APP}",
        f"system.slice/kubepods-burstable-pod{DASHED}.slice/docker-{APP}.scope",
        f"pod{UID}/{APP}",
    ],
)
def test_a_container_outside_of_its_pod_has_both_ids_in_its_name(path: str) -> None:
    """The name is runc's, on a node on which kubelet and runtime use different cgroup drivers."""
    assert (UID, APP) == parse_outside(["", *path.split("/")])


@pytest.mark.parametrize(
    "path", ["", f"{SYSTEMD}/cri-containerd-{APP}.scope", f"system.slice/docker-{APP}.scope", f"pod{UID}/x/{APP}"]
)
def test_other_paths_are_not_outside(path: str) -> None:
    """These are containers in their pods, containers of the host, and similar names."""
    assert parse_outside(["", *path.split("/")]) is None


def test_a_tree_of_a_user_of_the_host_is_no_root(tmp_path: Path) -> None:
    """systemd gives each user, and many services, a cgroup of their own."""
    real = f"{SYSTEMD}/cri-containerd-{APP}.scope"
    users = [f"{place}/{SYSTEMD}/cri-containerd-{PAUSE}.scope" for place in ("a", "user.slice/user-1000.slice/x")]
    make(tmp_path, real, *users)
    for place in ("a/kubepods.slice", "user.slice/user-1000.slice/x/kubepods.slice"):
        os.chown(tmp_path / place, os.getuid() + 1000, -1)
    tree = tree_of(tmp_path)

    assert (str(tmp_path / "kubepods.slice"),) == tree.roots
    assert [APP] == list(tree.pods[UID].containers)


def test_a_pod_stays_in_the_outermost_tree(tmp_path: Path) -> None:
    """The order in which the tree is listed does not matter."""
    make(tmp_path, f"{SYSTEMD}/cri-containerd-{APP}.scope", f"a/{SYSTEMD}/cri-containerd-{PAUSE}.scope")

    assert id_of(tmp_path, SYSTEMD) == tree_of(tmp_path).pods[UID].id


def test_if_no_root_belongs_to_the_trees_owner_all_roots_count(tmp_path: Path) -> None:
    """On a node without root privileges, the kubelet's user owns only a part of the tree."""
    make(tmp_path, SYSTEMD)
    os.chown(tmp_path / "kubepods.slice", os.getuid() + 1000, -1)

    assert [UID] == list(tree_of(tmp_path).pods)


def test_nested_cgroups_belong_to_their_container(tmp_path: Path) -> None:
    """Processes in a container may make cgroups, which are neither pods nor containers of the node."""
    make(
        tmp_path,
        f"{SYSTEMD}/cri-containerd-{APP}.scope/docker/{PAUSE}",
        f"{SYSTEMD}/cri-containerd-{APP}.scope/kubepods",
    )
    tree = tree_of(tmp_path)

    assert [APP] == list(tree.pods[UID].containers)
    assert 1 == len(tree.roots)


def test_the_trees_of_both_drivers_are_read(tmp_path: Path) -> None:
    """After a change of the driver both exist until the next boot. The pod is in the one with containers."""
    make(tmp_path, f"{SYSTEMD}/cri-containerd-{APP}.scope", f"kubepods/burstable/pod{UID}")
    tree = tree_of(tmp_path)

    assert 2 == len(tree.roots)
    assert tree.pods[UID].id == id_of(tmp_path, SYSTEMD)


def test_known_roots_save_the_search(tmp_path: Path) -> None:
    """The second scan reads only the roots of the first."""
    make(tmp_path, SYSTEMD, "custom/kubepods")
    (first, second) = tree_of(tmp_path).roots
    again = scan(tmp_path, [first], check=lambda _: True)

    assert (first,) == again.roots
    assert second not in again.roots


def test_a_vanished_cgroup_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cgroup that is removed between any two calls is left out."""
    make(tmp_path, SYSTEMD, f"kubepods.slice/kubepods-pod{STATIC_UID}.slice")
    gone, listing = str(tmp_path / SYSTEMD), os.scandir

    def scandir(path: str) -> object:
        if path == gone:
            raise FileNotFoundError(2, "gone", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)

    assert {UID, STATIC_UID} == set(tree_of(tmp_path).pods)
    assert () == scan(tmp_path, [str(tmp_path / "no-such-root")], check=lambda _: True).slices


def test_an_unreadable_tree_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file descriptors run out, that does not mean that there are no pods."""

    def scandir(path: str) -> object:
        raise OSError(24, "Too many open files", path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="Too many open files"):
        tree_of(tmp_path)


def test_a_tree_of_a_user_with_too_long_paths_hides_no_pod(tmp_path: Path) -> None:
    """Every user and service of the host may have a cgroup to divide, with names of any length."""
    root = tmp_path
    while len(str(root)) < os.pathconf(tmp_path, "PC_PATH_MAX") - 2000:
        root /= "r" * 250
    make(root, f"kubepods/pod{UID}/{APP}")
    parent = os.open(root, os.O_RDONLY)
    for _ in range(10):
        os.mkdir("u" * 250, dir_fd=parent)
        above, parent = parent, os.open("u" * 250, os.O_RDONLY, dir_fd=parent)
        os.close(above)
    os.close(parent)

    assert {UID} == tree_of(root).pods.keys()


def test_another_file_system_is_refused(tmp_path: Path) -> None:
    """Inode numbers of other file systems are no cgroup ids."""
    assert not is_cgroup2(tmp_path)
    with pytest.raises(NotCgroup2Error, match="is not a cgroup v2 mount"):
        scan(tmp_path)


def test_a_tree_without_pods_is_empty(tmp_path: Path) -> None:
    """The kubelet may start after the agent."""
    make(tmp_path, "system.slice/sshd.service")
    tree = tree_of(tmp_path)

    assert ((), {}) == (tree.slices, tree.pods)
    assert tree.root_id == tmp_path.stat().st_ino
