# SPDX-License-Identifier: Apache-2.0
"""A victim is named by cgroup ids, or by cgroup names if the ids are unknown, and has a scope."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import LEVELS, NO_LEVEL, VictimFlag
from oompolicy_agent.mapping.owners import CgroupOwners, Owner, OwnerFinder
from oompolicy_agent.status.reasons import Comparison
from oompolicy_agent.victims.naming import HOST, UNKNOWN_POD, NamedVictim, name_victim
from oompolicy_agent.victims.record import parse_victim
from tests.unit.agent.fakes import APP, BOOT, PAUSE, SYSTEMD, UID, ids_along, make, old_record, pod, record, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.model import Pod

CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"
SANDBOX = f"{SYSTEMD}/cri-containerd-{PAUSE}.scope"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path, f"{CONTAINER}/nested/deep", SANDBOX, "system.slice/sshd.service", f"system.slice/docker-{APP}.scope")
    return tmp_path


@pytest.fixture
def index(root: Path) -> CgroupOwners:
    known = CgroupOwners()
    known.update(OwnerFinder().of(tree_of(root), [pod()], resolve((), (), [pod()]), Defaults()), now=0)
    return known


def named(
    root: Path,
    path: str,
    index: CgroupOwners | None = None,
    pods: tuple[Pod, ...] = (),
    **fields: Any,  # noqa: ANN401
) -> NamedVictim:
    raw = bytes(record(path, ids_along(root, path), **fields))
    return name_victim(parse_victim(raw, BOOT), index or CgroupOwners(), pods)


def pod_and_container_of(victim: NamedVictim) -> tuple[str, str] | None:
    return names_of(victim.owner)


def names_of(owner: Owner | None) -> tuple[str, str] | None:
    return (owner.pod, owner.container) if owner else None


@pytest.mark.parametrize("path", [CONTAINER, f"{CONTAINER}/nested/deep"])
def test_a_victim_is_named_by_its_nearest_known_cgroup(root: Path, index: CgroupOwners, path: str) -> None:
    """The victim is in the container's own cgroup or below it."""
    assert ("web-0", "app") == pod_and_container_of(named(root, path, index))


def test_a_removed_cgroup_still_has_its_name(root: Path, index: CgroupOwners) -> None:
    """Only the index remembers the pod."""
    index.update({}, now=1)

    assert ("web-0", "app") == pod_and_container_of(named(root, CONTAINER, index))


@pytest.mark.parametrize("path", [CONTAINER, f"{CONTAINER}/docker/{PAUSE}", f"kubepods/burstable/pod{UID}/{APP}"])
def test_the_kernels_names_are_used_if_the_index_knows_no_id(root: Path, path: str) -> None:
    """An agent that started later finds pod and container among its pods."""
    make(root, path)

    assert ("web-0", "app") == pod_and_container_of(named(root, path, pods=(pod(),)))


@pytest.mark.parametrize("place", ["user.slice/user-1000.slice/x", "system.slice/x.service"])
def test_names_in_a_tree_of_a_user_of_the_host_name_no_pod(root: Path, index: CgroupOwners, place: str) -> None:
    """A user of the host can make cgroups with the names of a pod."""
    path = f"{place}/{SYSTEMD}/cri-containerd-{PAUSE}.scope"
    make(root, path)

    assert HOST == named(root, path, index, (pod(),)).owner


OUTSIDE = "ef" * 32


@pytest.mark.parametrize(
    "path",
    [
        f"system.slice/containerd.service/{SYSTEMD.rpartition('/')[2]}:cri-containerd:{OUTSIDE}",
        f"system.slice/docker.service/{SYSTEMD.rpartition('/')[2]}/{OUTSIDE}",
    ],
)
def test_a_container_outside_of_its_pod_is_named_by_both_ids(root: Path, index: CgroupOwners, path: str) -> None:
    """The kubelet has to report the container. With different cgroup drivers the runtime puts it there."""
    make(root, path)
    other, reported = pod(), pod(containers={"app": (OUTSIDE,)})

    assert ("web-0", "app") == pod_and_container_of(named(root, path, index, (reported,)))
    assert HOST == named(root, path, index, (other,)).owner


def test_the_names_of_a_container_in_its_place_are_not_believed_elsewhere(root: Path, index: CgroupOwners) -> None:
    """Every user of the host can read and copy them."""
    path = f"user.slice/{SYSTEMD.rpartition('/')[2]}:cri-containerd:{APP}"
    make(root, path)

    assert HOST == named(root, path, index, (pod(),)).owner


@pytest.mark.parametrize("node", [f"docker/{PAUSE}", f"system.slice/docker-{PAUSE}.scope", f"libpod-{PAUSE}.scope"])
def test_the_scope_on_a_node_that_is_a_container(root: Path, node: str) -> None:
    """Only the names are known. The container above kubepods is the node and no container of a pod."""
    path = f"{node}/{SYSTEMD}/crio-{APP}.scope"
    make(root, f"{path}/nested")
    ids = ids_along(root, f"{path}/nested")
    scopes = [named(root, f"{path}/nested", scope_cgroup_id=each).scope for each in ids[-4:]]

    assert ["Kubepods", "Pod", "Container", "Other"] == scopes


def test_a_forged_mirror_pod_has_no_victims(root: Path) -> None:
    """They belong to the pod whose own uid is in the cgroup's name."""
    forged = replace(pod("x", uid="another", cgroup_uid=UID), namespace="z-tenant")

    assert ("web-0", "app") == pod_and_container_of(named(root, CONTAINER, pods=(pod(), forged)))


def test_a_container_between_two_scans_is_named_by_its_id(root: Path, index: CgroupOwners) -> None:
    """The index knows only the pod, and the pod object has the new container's id."""
    new = "ef" * 32
    path = f"{SYSTEMD}/cri-containerd-{new}.scope"
    make(root, path)
    later = pod(containers={"app": (new, APP)})

    assert ("web-0", "") == pod_and_container_of(named(root, path, index))
    assert ("web-0", "app") == pod_and_container_of(named(root, path, index, (later,)))


def test_an_unknown_pod_has_at_least_its_uid(root: Path) -> None:
    """The report waits for the pod's object for a while."""
    victim = named(root, CONTAINER)

    assert (UID, APP, "") == (victim.owner.cgroup_uid, victim.owner.container_id, victim.owner.pod)
    assert not victim.complete


@pytest.mark.parametrize("path", ["system.slice/sshd.service", "", f"system.slice/docker-{APP}.scope"])
def test_a_process_of_the_host_has_no_pod(root: Path, index: CgroupOwners, path: str) -> None:
    """Processes of a container outside of pods belong to the host too."""
    for victim in (named(root, path, index, (pod(),)), named(root, path)):
        assert HOST == victim.owner
        assert victim.complete


@pytest.mark.parametrize(("adj", "complete"), [(-998, True), (500, False)])
def test_a_sandbox_has_no_container_to_wait_for(root: Path, index: CgroupOwners, adj: int, complete: bool) -> None:
    """kubelet protects it by its oom_score_adj, and no status has its id."""
    assert complete == named(root, SANDBOX, index, oom_score_adj=adj).complete


@pytest.mark.parametrize(
    ("depth", "scope"),
    [(0, "Other"), (1, "Kubepods"), (2, "Kubepods"), (3, "Pod"), (4, "Container"), (5, "Other")],
)
@pytest.mark.parametrize("known", [True, False])
def test_the_scope_is_the_cgroup_that_reached_its_limit(
    root: Path, index: CgroupOwners, depth: int, scope: str, known: bool
) -> None:
    """The cgroup is found in the index, or by its names if the index does not know it."""
    path = f"{CONTAINER}/nested/deep"
    ids = ids_along(root, path)
    victim = named(root, path, index if known else None, scope_cgroup_id=ids[depth])

    assert scope == victim.scope
    assert "/".join(["", *path.split("/")][: depth + 1]) or "/" == victim.scope_path


def test_no_scope_cgroup_is_the_node(root: Path, index: CgroupOwners) -> None:
    """The kernel had no memory cgroup that reached a limit."""
    assert "Node" == named(root, CONTAINER, index).scope


@pytest.mark.parametrize("path", [f"system.slice/docker-{APP}.scope", f"user.slice/pod{UID}", "user.slice/burstable"])
def test_names_in_another_place_are_no_scope_of_pods(root: Path, path: str) -> None:
    """Docker on the host gives cgroups the same names as kubelet with docker does."""
    make(root, path)

    assert "Other" == named(root, path, scope_cgroup_id=ids_along(root, path)[-1]).scope


def test_an_unknown_scope_is_another_cgroup(root: Path, index: CgroupOwners) -> None:
    """The cgroup is not among the victim's ancestors, so only its id is known."""
    victim = named(root, CONTAINER, index, scope_cgroup_id=1 << 60)

    assert ("Other", "") == (victim.scope, victim.scope_path)


def test_the_entry_that_decided_is_named(root: Path, index: CgroupOwners) -> None:
    """It is the entry of the container, the pod or the QoS class.

    Without an entry, the priority is that of the host.
    """
    levels = {level: named(root, CONTAINER, index, priority_level=level).decided_by for level in (2, 3, 4)}
    host = named(root, CONTAINER, index, priority_level=NO_LEVEL)
    deep = named(root, CONTAINER, index, priority_level=LEVELS)

    assert [(2, "qos"), (3, "pod"), (4, "container")] == [(level, by.kind) for level, by in levels.items() if by]
    assert (None, True) == (host.decided_by, host.victim.host_priority)
    assert (None, False) == (deep.decided_by, deep.victim.host_priority)


CHANGED = VictimFlag.SELECTED | VictimFlag.CHANGED
CGROUP = 10**6
"""The first of the ids that no cgroup of the tree has."""


def below(root: Path, path: str, depth: int = 1) -> list[int]:
    """Return the ids down to an unknown cgroup nested in `path`, for example one that was removed after the kill."""
    return [*ids_along(root, path), *range(CGROUP, CGROUP + depth)]


@pytest.mark.parametrize("depth", [0, 1, 14, 300])
def test_spared_and_trigger_are_named_by_their_recorded_ancestors(root: Path, index: CgroupOwners, depth: int) -> None:
    """The depth of nested cgroups does not matter, so a process in them cannot appear as one of the host."""
    ids = below(root, CONTAINER, depth)
    victim = named(root, "", index, flags=CHANGED, trigger_cgroup_ids=ids, spared_cgroup_ids=ids, spared_tgid=7)

    assert victim.spared_owner == victim.trigger_owner == index.get(ids_along(root, CONTAINER)[-1])
    assert victim.victim.spared is not None
    assert 7 == victim.victim.spared.tgid


@pytest.mark.parametrize("path", ["", "system.slice/sshd.service"])
@pytest.mark.parametrize("depth", [0, 1, 14])
def test_a_process_outside_of_the_kubepods_root_is_the_hosts(
    root: Path, index: CgroupOwners, path: str, depth: int
) -> None:
    """The recorded ancestors show that."""
    ids = below(root, path, depth)
    victim = named(root, CONTAINER, index, flags=CHANGED, trigger_cgroup_ids=ids, spared_cgroup_ids=ids)

    assert (HOST, HOST) == (victim.trigger_owner, victim.spared_owner)


@pytest.mark.parametrize("path", ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"])
def test_a_process_below_the_kubepods_root_is_in_a_pod(root: Path, index: CgroupOwners, path: str) -> None:
    """The agent may not know that pod."""
    victim = named(root, "system.slice/sshd.service", index, trigger_cgroup_ids=below(root, path, 14))

    assert victim.trigger_owner is not None
    assert victim.trigger_owner.kind in {"kubepods", "qos"}


def test_a_process_with_an_entry_is_in_a_pod(root: Path, index: CgroupOwners) -> None:
    """This holds below a new kubepods root too, which the index does not know."""
    make(root, "new/kubepods.slice/deep")
    victim = named(root, "new/kubepods.slice/deep", index, priority_level=2)
    nested = named(root, f"{CONTAINER}/nested", index, priority_level=LEVELS)

    assert UNKNOWN_POD == victim.owner
    assert ("web-0", "app") == pod_and_container_of(nested)


def test_without_recorded_ancestors_no_process_is_the_hosts(root: Path, index: CgroupOwners) -> None:
    """The task had exited, or an older program made the record."""
    unknown = named(root, CONTAINER, index, flags=CHANGED, trigger_cgroup_id=CGROUP, spared_cgroup_id=CGROUP)
    container = ids_along(root, CONTAINER)[-1]
    known = named(root, "", index, flags=CHANGED, trigger_cgroup_id=container, spared_cgroup_id=container)
    entry = named(root, CONTAINER, index, flags=CHANGED | VictimFlag.SPARED_ENTRY, spared_cgroup_id=CGROUP)

    assert (None, None) == (unknown.trigger_owner, unknown.spared_owner)
    assert index.get(container) == known.trigger_owner == known.spared_owner
    assert UNKNOWN_POD == entry.spared_owner


def test_a_gap_in_the_recorded_ancestors_makes_them_useless(root: Path, index: CgroupOwners) -> None:
    """The pod's cgroup could be in the gap."""
    ids = [ids_along(root, "")[0], 0, 0]

    assert named(root, CONTAINER, index, trigger_cgroup_ids=ids).trigger_owner is None


def test_the_victims_names_are_used_for_ancestors_that_it_shares(root: Path) -> None:
    """After a reboot the index knows no id, but a trigger in the victim's container is named."""
    same = named(root, f"{CONTAINER}/nested", pods=(pod(),), trigger_cgroup_ids=below(root, CONTAINER))
    pods = named(root, CONTAINER, trigger_cgroup_ids=below(root, "kubepods.slice"))
    other = named(root, CONTAINER, trigger_cgroup_ids=below(root, "system.slice"))
    host = named(root, "system.slice", trigger_cgroup_ids=ids_along(root, "system.slice"))

    assert ("web-0", "app") == names_of(same.trigger_owner)
    assert (UNKNOWN_POD, None, HOST) == (pods.trigger_owner, other.trigger_owner, host.trigger_owner)


def test_a_group_kill_does_not_spare_its_own_process(root: Path, index: CgroupOwners) -> None:
    """The kernel alone would have chosen this process, and memory.oom.group killed it with the chosen one."""
    flags = CHANGED | VictimFlag.GROUP
    victim = named(root, CONTAINER, index, flags=flags, spared_tgid=4711, spared_cgroup_ids=ids_along(root, CONTAINER))

    assert (None, None) == (victim.victim.spared, victim.spared_owner)


def test_an_oom_whose_start_was_not_seen_has_no_known_scope(root: Path, index: CgroupOwners) -> None:
    """The empty scope of this record does not mean the node."""
    assert "Unknown" == named(root, CONTAINER, index, flags=VictimFlag.NO_SCOPE).scope


def test_without_a_changed_choice_no_process_is_spared(root: Path) -> None:
    """The spared fields of such a record have no meaning."""
    assert named(root, CONTAINER, spared_tgid=7).victim.spared is None


def test_a_path_deeper_than_the_record_is_cut() -> None:
    """Ids and names of the first levels are in the record, which is enough."""
    path = "/".join(f"l{level}" for level in range(1, 30))
    victim = parse_victim(bytes(record(path, range(1, LEVELS + 1), level=29, victim_cgroup_id=30)), BOOT)

    assert tuple(range(1, LEVELS + 1)) == victim.cgroup_ids
    assert "/l1/l2/l3/l4/l5/l6/l7/l8/l9/l10/l11" == victim.path


def test_names_of_any_bytes_become_printable() -> None:
    """A process may have any name, and so may a cgroup."""
    victim = parse_victim(bytes(record("x\n\x1b[31m", [1, 2], victim_comm=b"\xff\n\x00")), BOOT)

    assert (r"\xff\n", r"/x\n\x1b[31m") == (victim.comm, victim.path)


def test_unknown_flags_are_ignored() -> None:
    """A newer program may set more of them."""
    assert VictimFlag.GROUP == parse_victim(bytes(record(flags=1 << 31 | VictimFlag.GROUP)), BOOT).flags


@pytest.mark.parametrize("size", [0, 1455, 1464, 1664])
def test_a_record_of_another_size_is_an_error(size: int) -> None:
    """A program of an unknown version wrote it."""
    with pytest.raises(ValueError, match=f"{size} bytes, expected 1656, or 1456 from before"):
        parse_victim(bytes(size), BOOT)


def test_a_record_of_the_previous_version_gives_the_same_victim(root: Path, index: CgroupOwners) -> None:
    """Only the ancestors of trigger and spared are missing."""
    made = record(CONTAINER, ids_along(root, CONTAINER), flags=CHANGED, priority_level=4, spared_tgid=7, candidates=3,
                  badness=-5, oom_score_adj=-500, trigger_cgroup_id=8, spared_cgroup_id=9)  # fmt: skip
    old = old_record(made)

    assert 1456 == len(old)
    assert parse_victim(bytes(made), BOOT) == parse_victim(old, BOOT)
    assert ("web-0", "app") == pod_and_container_of(name_victim(parse_victim(old, BOOT), index, ()))


def test_the_identity_is_that_of_the_process() -> None:
    """Another boot, process or start time gives another identity."""

    def identity(boot: str, tgid: int, start: int) -> str:
        return parse_victim(bytes(record(victim_tgid=tgid, start_boottime_ns=start)), boot).identity

    mine = identity(BOOT, 1, 2)

    assert mine == identity(BOOT, 1, 2)
    assert 4 == len({mine, identity("other", 1, 2), identity(BOOT, 2, 2), identity(BOOT, 1, 3)})
    assert 16 == len(mine)


def test_the_owner_of_a_slice_is_no_pod(root: Path, index: CgroupOwners) -> None:
    """A process directly in a slice belongs to no known pod, and not to the host."""
    for victim in (named(root, "kubepods.slice", index), named(root, "kubepods.slice")):
        assert ("kubepods", "") == (victim.owner.kind, victim.owner.cgroup_uid)
        assert victim.complete


@pytest.mark.parametrize(
    ("flags", "mode", "comparison"),
    [
        (VictimFlag.SELECTED, Mode.ENFORCE, Comparison.SAME),
        (CHANGED, Mode.ENFORCE, Comparison.DIFFERENT),
        (VictimFlag.SELECTED | VictimFlag.UNSURE, Mode.ENFORCE, Comparison.UNKNOWN),
        (VictimFlag.SELECTED | VictimFlag.AUDIT, Mode.AUDIT, Comparison.SAME),
        (CHANGED | VictimFlag.AUDIT, Mode.AUDIT, Comparison.DIFFERENT),
        (VictimFlag.OFF, Mode.OFF, None),
        (VictimFlag.NO_SCOPE, None, None),
        (VictimFlag(0), None, None),
    ],
)
def test_flags_say_the_mode_and_whether_the_rules_agree(
    flags: VictimFlag, mode: Mode | None, comparison: Comparison | None
) -> None:
    """Without a part in the OOM, the program knows neither. In the mode Off it compares nothing."""
    victim = parse_victim(bytes(record(flags=flags)), BOOT)

    assert mode == victim.mode
    assert comparison == victim.comparison
