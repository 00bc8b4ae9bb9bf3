# SPDX-License-Identifier: Apache-2.0
"""A victim is named by ids, by names where the ids are unknown, and says what ran out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults, Mode
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import LEVELS, NO_LEVEL, VictimFlag
from oompolicy_agent.mapping.owners import CgroupOwners, Owner, OwnerFinder
from oompolicy_agent.victims.naming import HOST, UNKNOWN_POD, NamedVictim, name_victim
from oompolicy_agent.victims.record import Comparison, identity, parse_victim
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


def whose(victim: NamedVictim) -> tuple[str, str] | None:
    return whom(victim.owner)


def whom(owner: Owner | None) -> tuple[str, str] | None:
    return (owner.pod, owner.container) if owner else None


@pytest.mark.parametrize("path", [CONTAINER, f"{CONTAINER}/nested/deep"])
def test_a_victim_is_named_by_its_nearest_known_cgroup(root: Path, index: CgroupOwners, path: str) -> None:
    """In the container's own cgroup or below it."""
    assert ("web-0", "app") == whose(named(root, path, index))


def test_a_gone_cgroup_still_has_its_name(root: Path, index: CgroupOwners) -> None:
    """Nothing is left of the pod but what the index remembers."""
    index.update({}, now=1)

    assert ("web-0", "app") == whose(named(root, CONTAINER, index))


@pytest.mark.parametrize("path", [CONTAINER, f"{CONTAINER}/docker/{PAUSE}", f"kubepods/burstable/pod{UID}/{APP}"])
def test_the_kernels_names_do_where_the_index_knows_nothing(root: Path, path: str) -> None:
    """An agent that was not there finds pod and container among the pods it knows."""
    make(root, path)

    assert ("web-0", "app") == whose(named(root, path, pods=(pod(),)))


@pytest.mark.parametrize("place", ["user.slice/user-1000.slice/x", "system.slice/x.service"])
def test_names_in_a_tree_of_somebody_else_are_nobodys(root: Path, index: CgroupOwners, place: str) -> None:
    """A user of the host makes cgroups with the names of a pod."""
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
    """If the kubelet reports it: with different cgroup drivers that is where the runtime puts it."""
    make(root, path)
    other, reported = pod(), pod(containers={"app": (OUTSIDE,)})

    assert ("web-0", "app") == whose(named(root, path, index, (reported,)))
    assert HOST == named(root, path, index, (other,)).owner


def test_the_names_of_a_container_in_its_place_are_not_believed_elsewhere(root: Path, index: CgroupOwners) -> None:
    """Everybody on the host can read and copy them."""
    path = f"user.slice/{SYSTEMD.rpartition('/')[2]}:cri-containerd:{APP}"
    make(root, path)

    assert HOST == named(root, path, index, (pod(),)).owner


@pytest.mark.parametrize("node", [f"docker/{PAUSE}", f"system.slice/docker-{PAUSE}.scope", f"libpod-{PAUSE}.scope"])
def test_the_scope_on_a_node_that_is_a_container(root: Path, node: str) -> None:
    """Known by the names only: the container above kubepods is the node, not a pod's container."""
    path = f"{node}/{SYSTEMD}/crio-{APP}.scope"
    make(root, f"{path}/nested")
    ids = ids_along(root, f"{path}/nested")
    scopes = [named(root, f"{path}/nested", scope_cgroup_id=each).scope for each in ids[-4:]]

    assert ["Kubepods", "Pod", "Container", "Other"] == scopes


def test_a_forged_mirror_pod_has_no_victims(root: Path) -> None:
    """The pod whose own uid is in the name of the cgroup has them."""
    forged = replace(pod("x", uid="another", cgroup_uid=UID), namespace="z-tenant")

    assert ("web-0", "app") == whose(named(root, CONTAINER, pods=(pod(), forged)))


def test_a_container_between_two_scans_is_named_by_its_id(root: Path, index: CgroupOwners) -> None:
    """The index has only the pod; the pod object has the container's id meanwhile."""
    new = "ef" * 32
    path = f"{SYSTEMD}/cri-containerd-{new}.scope"
    make(root, path)
    later = pod(containers={"app": (new, APP)})

    assert ("web-0", "") == whose(named(root, path, index))
    assert ("web-0", "app") == whose(named(root, path, index, (later,)))


def test_a_pod_nobody_knows_has_at_least_its_uid(root: Path) -> None:
    """And waits for its object, for a while."""
    victim = named(root, CONTAINER)

    assert (UID, APP, "") == (victim.owner.cgroup_uid, victim.owner.container_id, victim.owner.pod)
    assert not victim.complete


@pytest.mark.parametrize("path", ["system.slice/sshd.service", "", f"system.slice/docker-{APP}.scope"])
def test_a_host_process_is_nobodys(root: Path, index: CgroupOwners, path: str) -> None:
    """A container that is no pod's is the host's too."""
    for victim in (named(root, path, index, (pod(),)), named(root, path)):
        assert HOST == victim.owner
        assert victim.complete


@pytest.mark.parametrize(("adj", "complete"), [(-998, True), (500, False)])
def test_a_sandbox_has_no_container_to_wait_for(root: Path, index: CgroupOwners, adj: int, complete: bool) -> None:
    """kubelet protects it by its oom_score_adj, and no status ever names its id."""
    assert complete == named(root, SANDBOX, index, oom_score_adj=adj).complete


@pytest.mark.parametrize(
    ("depth", "scope"),
    [(0, "Other"), (1, "Kubepods"), (2, "Kubepods"), (3, "Pod"), (4, "Container"), (5, "Other")],
)
@pytest.mark.parametrize("known", [True, False])
def test_the_scope_is_whose_limit_was_reached(
    root: Path, index: CgroupOwners, depth: int, scope: str, known: bool
) -> None:
    """By the index, and by the names where it knows nothing."""
    path = f"{CONTAINER}/nested/deep"
    ids = ids_along(root, path)
    victim = named(root, path, index if known else None, scope_cgroup_id=ids[depth])

    assert scope == victim.scope
    assert "/".join(["", *path.split("/")][: depth + 1]) or "/" == victim.scope_path


def test_no_scope_cgroup_is_the_node(root: Path, index: CgroupOwners) -> None:
    """The kernel had no memory cgroup to blame."""
    assert "Node" == named(root, CONTAINER, index).scope


@pytest.mark.parametrize("path", [f"system.slice/docker-{APP}.scope", f"user.slice/pod{UID}", "user.slice/burstable"])
def test_names_out_of_place_are_no_scope_of_ours(root: Path, path: str) -> None:
    """Docker on the host names its cgroups as kubelet's docker does."""
    make(root, path)

    assert "Other" == named(root, path, scope_cgroup_id=ids_along(root, path)[-1]).scope


def test_an_unknown_scope_is_another_cgroup(root: Path, index: CgroupOwners) -> None:
    """Not among the victim's ancestors: nothing is said of it but its id."""
    victim = named(root, CONTAINER, index, scope_cgroup_id=1 << 60)

    assert ("Other", "") == (victim.scope, victim.scope_path)


def test_who_decided_is_where_the_entry_stands(root: Path, index: CgroupOwners) -> None:
    """The container's own entry, its pod's, its class's; or none: host priority."""
    levels = {level: named(root, CONTAINER, index, priority_level=level).decided_by for level in (2, 3, 4)}
    host = named(root, CONTAINER, index, priority_level=NO_LEVEL)
    deep = named(root, CONTAINER, index, priority_level=LEVELS)

    assert [(2, "qos"), (3, "pod"), (4, "container")] == [(level, by.kind) for level, by in levels.items() if by]
    assert (None, True) == (host.decided_by, host.victim.host_priority)
    assert (None, False) == (deep.decided_by, deep.victim.host_priority)


CHANGED = VictimFlag.SELECTED | VictimFlag.CHANGED
CGROUP = 10**6
"""The first of ids that no cgroup of the tree has."""


def below(root: Path, path: str, depth: int = 1) -> list[int]:
    """The ids down to a cgroup nested in `path` that nobody has seen, as it is when it was removed after the kill."""
    return [*ids_along(root, path), *range(CGROUP, CGROUP + depth)]


@pytest.mark.parametrize("depth", [0, 1, 14, 300])
def test_spared_and_trigger_are_named_by_their_recorded_ancestors(root: Path, index: CgroupOwners, depth: int) -> None:
    """However deep they nest their cgroups: those who do it must not pass for the host."""
    ids = below(root, CONTAINER, depth)
    victim = named(root, "", index, flags=CHANGED, trigger_cgroup_ids=ids, spared_cgroup_ids=ids, spared_tgid=7)

    assert victim.spared_owner == victim.trigger_owner == index.get(ids_along(root, CONTAINER)[-1])
    assert victim.victim.spared is not None
    assert 7 == victim.victim.spared.tgid


@pytest.mark.parametrize("path", ["", "system.slice/sshd.service"])
@pytest.mark.parametrize("depth", [0, 1, 14])
def test_who_is_not_below_the_kubepods_root_is_the_hosts(
    root: Path, index: CgroupOwners, path: str, depth: int
) -> None:
    """The recorded ancestors say so."""
    ids = below(root, path, depth)
    victim = named(root, CONTAINER, index, flags=CHANGED, trigger_cgroup_ids=ids, spared_cgroup_ids=ids)

    assert (HOST, HOST) == (victim.trigger_owner, victim.spared_owner)


@pytest.mark.parametrize("path", ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"])
def test_who_is_below_the_kubepods_root_is_in_a_pod(root: Path, index: CgroupOwners, path: str) -> None:
    """Even where the agent has not seen that pod."""
    victim = named(root, "system.slice/sshd.service", index, trigger_cgroup_ids=below(root, path, 14))

    assert victim.trigger_owner is not None
    assert victim.trigger_owner.kind in {"kubepods", "qos"}


def test_who_has_an_entry_is_in_a_pod(root: Path, index: CgroupOwners) -> None:
    """Also below a kubepods root that was made a moment ago, and that the index does not know."""
    make(root, "new/kubepods.slice/deep")
    victim = named(root, "new/kubepods.slice/deep", index, priority_level=2)
    nested = named(root, f"{CONTAINER}/nested", index, priority_level=LEVELS)

    assert UNKNOWN_POD == victim.owner
    assert ("web-0", "app") == whose(nested)


def test_without_recorded_ancestors_nobody_is_taken_for_the_host(root: Path, index: CgroupOwners) -> None:
    """The task had exited, or an older program made the record."""
    unknown = named(root, CONTAINER, index, flags=CHANGED, trigger_cgroup_id=CGROUP, spared_cgroup_id=CGROUP)
    container = ids_along(root, CONTAINER)[-1]
    known = named(root, "", index, flags=CHANGED, trigger_cgroup_id=container, spared_cgroup_id=container)
    entry = named(root, CONTAINER, index, flags=CHANGED | VictimFlag.SPARED_ENTRY, spared_cgroup_id=CGROUP)

    assert (None, None) == (unknown.trigger_owner, unknown.spared_owner)
    assert index.get(container) == known.trigger_owner == known.spared_owner
    assert UNKNOWN_POD == entry.spared_owner


def test_a_gap_in_the_recorded_ancestors_makes_them_useless(root: Path, index: CgroupOwners) -> None:
    """The pod could be in the gap."""
    ids = [ids_along(root, "")[0], 0, 0]

    assert named(root, CONTAINER, index, trigger_cgroup_ids=ids).trigger_owner is None


def test_the_victims_names_do_for_ancestors_that_it_shares(root: Path) -> None:
    """After a reboot the index knows no id: a trigger in the victim's container is named all the same."""
    same = named(root, f"{CONTAINER}/nested", pods=(pod(),), trigger_cgroup_ids=below(root, CONTAINER))
    pods = named(root, CONTAINER, trigger_cgroup_ids=below(root, "kubepods.slice"))
    other = named(root, CONTAINER, trigger_cgroup_ids=below(root, "system.slice"))
    host = named(root, "system.slice", trigger_cgroup_ids=ids_along(root, "system.slice"))

    assert ("web-0", "app") == whom(same.trigger_owner)
    assert (UNKNOWN_POD, None, HOST) == (pods.trigger_owner, other.trigger_owner, host.trigger_owner)


def test_the_record_of_a_group_does_not_spare_its_own_process(root: Path, index: CgroupOwners) -> None:
    """The kernel alone would have chosen it, and memory.oom.group killed it with the other that was."""
    flags = CHANGED | VictimFlag.GROUP
    victim = named(root, CONTAINER, index, flags=flags, spared_tgid=4711, spared_cgroup_ids=ids_along(root, CONTAINER))

    assert (None, None) == (victim.victim.spared, victim.spared_owner)


def test_an_unseen_start_of_an_oom_has_no_known_scope(root: Path, index: CgroupOwners) -> None:
    """What stands in the record's scope is not the node's sign then."""
    assert "Unknown" == named(root, CONTAINER, index, flags=VictimFlag.NO_SCOPE).scope


def test_without_a_change_nobody_is_spared(root: Path) -> None:
    """What stands in the record's spared fields then means nothing."""
    assert named(root, CONTAINER, spared_tgid=7).victim.spared is None


def test_deeper_than_the_record_is_cut_off() -> None:
    """Ids and names of the first levels are there, and do."""
    path = "/".join(f"l{level}" for level in range(1, 30))
    victim = parse_victim(bytes(record(path, range(1, LEVELS + 1), level=29, victim_cgroup_id=30)), BOOT)

    assert tuple(range(1, LEVELS + 1)) == victim.cgroup_ids
    assert "/l1/l2/l3/l4/l5/l6/l7/l8/l9/l10/l11" == victim.path


def test_names_of_any_bytes_become_printable() -> None:
    """A process may call itself anything, and so may a cgroup."""
    victim = parse_victim(bytes(record("x\n\x1b[31m", [1, 2], victim_comm=b"\xff\n\x00")), BOOT)

    assert (r"\xff\n", r"/x\n\x1b[31m") == (victim.comm, victim.path)


def test_flags_of_the_future_are_ignored() -> None:
    """A newer program may set more."""
    assert VictimFlag.GROUP == parse_victim(bytes(record(flags=1 << 31 | VictimFlag.GROUP)), BOOT).flags


@pytest.mark.parametrize("size", [0, 1455, 1464, 1664])
def test_a_record_of_another_size_is_refused(size: int) -> None:
    """A program of an unknown version."""
    with pytest.raises(ValueError, match=f"{size} bytes, expected 1656, or 1456 from before"):
        parse_victim(bytes(size), BOOT)


def test_a_record_of_the_version_before_says_the_same(root: Path, index: CgroupOwners) -> None:
    """All but the ancestors of trigger and spared, which it has not."""
    made = record(CONTAINER, ids_along(root, CONTAINER), flags=CHANGED, priority_level=4, spared_tgid=7, candidates=3,
                  badness=-5, oom_score_adj=-500, trigger_cgroup_id=8, spared_cgroup_id=9)  # fmt: skip
    old = old_record(made)

    assert 1456 == len(old)
    assert parse_victim(bytes(made), BOOT) == parse_victim(old, BOOT)
    assert ("web-0", "app") == whose(name_victim(parse_victim(old, BOOT), index, ()))


def test_the_identity_is_the_process() -> None:
    """The same for the same, another for another boot, process or start."""
    mine = identity(BOOT, 1, 2)

    assert mine == identity(BOOT, 1, 2)
    assert 4 == len({mine, identity("other", 1, 2), identity(BOOT, 2, 2), identity(BOOT, 1, 3)})
    assert 16 == len(mine)


def test_the_owner_of_a_slice_is_no_pod(root: Path, index: CgroupOwners) -> None:
    """A process directly in a slice is in no pod that is known, and not the host's."""
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
