# SPDX-License-Identifier: Apache-2.0
"""A kill in the kernel's log becomes the victim that a BPF program would have recorded, as far as the log tells."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import LEVELS, VictimFlag
from oompolicy_agent.mapping.owners import CgroupOwners, OwnerFinder
from oompolicy_agent.victims.event import event, note
from oompolicy_agent.victims.log import log_of
from oompolicy_agent.victims.logged import Recorded, located, parse_logged
from oompolicy_agent.victims.naming import HOST, name_victim, qos_class
from oompolicy_agent.victims.policykills import policy_kill_ns
from oompolicy_agent.victims.record import parse_victim
from oompolicy_agent.victims.report import report_of
from oompolicy_agent.victims.spool import Spool
from tests.unit.agent.fakes import APP, BOOT, SYSTEMD, id_of, make, pod, record, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.victims.naming import NamedVictim
    from oompolicy_agent.victims.record import Victim

CONTAINER = f"/{SYSTEMD}/cri-containerd-{APP}.scope"
HOST_PRIORITY = 900
KILL = {
    "number": 1,
    "logTimeUs": 4_711_000,
    "bootTimeNs": 1_000_000_000,
    "pid": 7,
    "comm": "java",
    "uid": 1000,
    "anonKiB": 8192,
    "fileKiB": 4,
    "shmemKiB": 0,
    "oomScoreAdj": 500,
    "startTime": 12,
    "path": CONTAINER,
    "cgroup": 0,
    "scope": f"/{SYSTEMD}",
    "group": None,
    "bound": False,
    "trigger": {"pid": 9, "comm": "web", "cgroup": 0},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path, f"{CONTAINER[1:]}/nested", "system.slice/ssh.service")
    return tmp_path


@pytest.fixture
def owners(root: Path) -> CgroupOwners:
    known = CgroupOwners()
    known.update(OwnerFinder().of(tree_of(root), [pod()], resolve((), (), [pod()]), Defaults()), now=0)
    return known


def parsed(**fields: object) -> Victim:
    return parse_logged(json.dumps(KILL | fields).encode(), BOOT)


def named(root: Path, owners: CgroupOwners, **fields: object) -> NamedVictim:
    return name_victim(located(parsed(**fields), owners, str(root), HOST_PRIORITY), owners, ())


def text(root: Path, owners: CgroupOwners, **fields: object) -> str:
    return note(named(root, owners, **fields), disclose=True)


def test_a_victim_in_a_pod_has_everything_but_the_record(root: Path, owners: CgroupOwners) -> None:
    """Ids, priority and scope come from the cgroups that the agent knows."""
    found = named(root, owners)
    victim = found.victim

    assert ("web-0", "app", "Pod") == (found.owner.pod, found.owner.container, found.scope)
    assert (500, False, "Burstable") == (victim.priority, victim.host_priority, qos_class(victim))
    assert [1, id_of(root, SYSTEMD), id_of(root, CONTAINER[1:])] == [victim.cgroup_ids[level] for level in (0, -2, -1)]
    assert (7, 8192 << 10, 1_000_000_000) == (victim.tgid, victim.anon_pages * 4096, victim.boottime_ns)
    assert found.decided_by
    assert "built-in default for QoS class Burstable" == found.decided_by.reason


def test_the_event_says_that_it_is_from_the_log(root: Path, owners: CgroupOwners) -> None:
    """The log has no priorities, so without scores the Event says that the kernel did not use any."""
    found = named(root, owners)

    assert note(found, disclose=True) == (
        "Kernel OOM killer killed java (pid 7, anon-rss 8 MiB) in container app of pod team-a/web-0: scope Pod: the "
        "pod reached its memory limit; priority 500, but the kernel did not use priorities in this OOM; trigger: web "
        "(pid 9), owner unknown; source: the kernel's log"
    )
    assert "trigger: a process of a pod in another namespace; source:" in note(found, disclose=False)
    line = log_of(found, "node-1", 0)
    assert ("KernelLog", "web") == (line["source"], line["trigger"]["process"])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("", "Node"),
        ("/kubepods.slice", "Kubepods"),
        (f"/{SYSTEMD}", "Pod"),
        (CONTAINER, "Container"),
        (f"{CONTAINER}/nested", "Other"),
        ("/elsewhere", "Other"),
        (None, "Unknown"),
    ],
)
def test_the_scope_is_found_by_its_path(root: Path, owners: CgroupOwners, scope: str | None, expected: str) -> None:
    assert expected == named(root, owners, scope=scope, path=f"{CONTAINER}/nested").scope


def test_a_victim_of_the_host_has_the_hosts_priority(root: Path, owners: CgroupOwners) -> None:
    found = named(root, owners, path="/system.slice/ssh.service", scope="")

    assert (HOST, HOST_PRIORITY, True) == (found.owner, found.victim.priority, found.victim.host_priority)
    assert "in cgroup /system.slice/ssh.service, a process of the host" in note(found, disclose=True)


def test_a_process_in_the_root_is_one_of_the_host(root: Path, owners: CgroupOwners) -> None:
    assert (HOST, (1,)) == (
        (found := named(root, owners, path="/", scope="")).owner,
        found.victim.cgroup_ids,
    )


def test_a_cgroup_that_looks_like_a_pods_is_none(root: Path, owners: CgroupOwners) -> None:
    """A user of the host may nest cgroups with any names below its own."""
    path = f"/user.slice/user-1000.slice{CONTAINER}"

    assert HOST == named(root, owners, path=path, scope="").owner


def test_a_victim_without_a_cgroup_has_that_of_the_last_look(root: Path, owners: CgroupOwners) -> None:
    found = named(root, owners, path=None, scope=None, trigger=None, cgroup=id_of(root, CONTAINER[1:]))

    assert ("web-0", "app", 500) == (found.owner.pod, found.owner.container, found.victim.priority)
    assert "scope unknown: the kernel logs it for at most 10 OOMs in 5 seconds" in note(found, disclose=True)
    assert "trigger" not in note(found, disclose=True)


def test_a_victim_without_any_place_is_reported_on_the_node(root: Path, owners: CgroupOwners) -> None:
    """Nothing is invented: no priority, no pod, and no claim that it is a process of the host."""
    found = named(root, owners, path=None, scope=None, trigger=None)
    report = report_of(found, "node-1", 0, disclose=True)

    assert ("Node", "node-1") == (report.event["regarding"]["kind"], report.event["regarding"]["name"])
    assert "in a cgroup that the kernel's log does not name: scope unknown: " in report.note
    assert "; priority unknown; source: the kernel's log" in report.note
    assert "host" not in report.note
    assert "priority" not in report.summary
    assert (None, None) == (report.log["priority"], report.log["trigger"])


def test_a_member_of_a_group_is_in_its_cgroup(root: Path, owners: CgroupOwners) -> None:
    """A group of a whole pod does not show the container. The last look may."""
    whole_pod = {"group": f"/{SYSTEMD}", "path": None}
    member = named(root, owners, **whole_pod)
    seen = named(root, owners, **whole_pod, cgroup=id_of(root, CONTAINER[1:]))

    assert ("web-0", "") == (member.owner.pod, member.owner.container)
    assert ("web-0", "app") == (seen.owner.pod, seen.owner.container)
    assert "; killed together with the chosen process; " in note(seen, disclose=True)


def test_a_kill_of_another_oom_is_no_member_of_the_group_before_it(root: Path, owners: CgroupOwners) -> None:
    """The last look shows that it ran elsewhere. Its scope and its trigger are unknown."""
    found = named(root, owners, group="/system.slice", path=None, cgroup=id_of(root, CONTAINER[1:]))

    assert ("web-0", "Unknown", None) == (found.owner.pod, found.scope, found.victim.trigger)
    assert not found.victim.flags & VictimFlag.GROUP


def test_a_trigger_has_its_owner_from_the_last_look(root: Path, owners: CgroupOwners) -> None:
    trigger = {"pid": 9, "comm": "web", "cgroup": id_of(root, CONTAINER[1:])}

    assert "trigger: web (pid 9) in container app of pod team-a/web-0" in text(root, owners, trigger=trigger)
    assert "trigger: its own allocation" in text(root, owners, trigger=trigger | {"pid": 7})


def test_an_oom_on_some_numa_nodes_is_one_of_the_node(root: Path, owners: CgroupOwners) -> None:
    assert "scope Node: no memory is left on the NUMA nodes" in text(root, owners, scope="", bound=True)


def test_a_victim_of_another_boot_is_named_by_its_path() -> None:
    """Its priority is unknown, because it had none in the log."""
    victim = located(parsed(), CgroupOwners(), "", 0)
    found = name_victim(victim, CgroupOwners(), (pod(),))

    assert ("web-0", "app", None) == (found.owner.pod, found.owner.container, found.victim.priority)


def test_a_host_process_of_another_boot_is_one(root: Path) -> None:
    """A record of a program shows this by its priority, and the log has none."""
    victim = located(parsed(path="/system.slice/ssh.service"), CgroupOwners(), str(root), 0)

    assert HOST == name_victim(victim, CgroupOwners(), ()).owner


def test_a_kill_that_is_taken_again_stays_one_victim(tmp_path: Path) -> None:
    """The agent was killed after it had spooled the kill. A new one reads it from the disk, and gets it once more."""
    raw = json.dumps(KILL).encode()
    name = Spool(tmp_path / "spool", BOOT).add(raw, logged=True)
    spool = Spool(tmp_path / "spool", BOOT)

    assert spool.add(raw, logged=True) is None
    assert (name,) == spool.pending
    kept = spool.read(spool.pending[0])
    assert kept
    assert (parsed(), True) == (kept.victim, kept.logged)


def test_a_deep_path_is_cut_below_the_container(root: Path, owners: CgroupOwners) -> None:
    found = named(root, owners, path=CONTAINER + "/x" * 30)

    assert LEVELS == len(found.victim.cgroup_ids) == len(found.victim.names)
    assert "app" == found.owner.container


def test_a_name_with_other_bytes_is_made_printable(root: Path, owners: CgroupOwners) -> None:
    """The cgroup is found by the name that it has."""
    found = named(root, owners, comm="a\nb", path="/x\udcff\x1b", scope="")

    assert ("a\\nb", "/x\\udcff\\x1b") == (found.victim.comm, found.victim.path)
    assert note(found, disclose=True).isprintable()


@pytest.mark.parametrize("change", [{"pid": "7"}, {"path": 1}, {"trigger": {"pid": 9}}, {"bound": 0}, {"scope": 5}])
def test_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"it is no kill|is no process"):
        parsed(**change)


def test_the_identity_is_that_of_the_kill() -> None:
    """A kill has the same one in every file, and the process of a later kill with its pid another one."""
    mine, later = parsed(), parsed(logTimeUs=4_711_001)

    assert mine.identity == parsed(number=9, bootTimeNs=5, startTime=0).identity
    assert 3 == len({mine.identity, later.identity, parse_victim(bytes(record(victim_tgid=7)), BOOT).identity})
    made = event(name_victim(mine, CgroupOwners(), ()), "n", 0, disclose=True)
    assert made["metadata"]["name"].endswith(mine.identity)


@pytest.mark.parametrize(("scope", "counts"), [("", True), (f"/{SYSTEMD}", True), (CONTAINER, False), (None, False)])
def test_a_kill_with_an_unknown_scope_is_no_policys(
    root: Path, owners: CgroupOwners, scope: str | None, counts: bool
) -> None:
    """A storm in one container, of which the kernel logs little, must not put the node into Audit."""
    victim = located(parsed(scope=scope), owners, str(root), HOST_PRIORITY)

    assert counts == (policy_kill_ns(victim, owners, Mode.ENFORCE) is not None)


def test_a_kill_that_a_program_has_recorded_is_known() -> None:
    """The times differ a little. A later process with the same pid is another one."""
    recorded = Recorded()
    recorded.add(replace(parsed(), boottime_ns=1_500_000_000))

    def has(**fields: Any) -> bool:  # noqa: ANN401 (as JSON has it)
        return recorded.has(KILL | fields)

    assert [True, False, False] == [has(), has(pid=8), has(bootTimeNs=9_000_000_000)]
