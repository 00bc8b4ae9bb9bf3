# SPDX-License-Identifier: Apache-2.0
"""The whole agent on a node without the hook asks for scores, follows the adjuster, and judges victims."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.adjuster import report, wanted
from oompolicy_agent.adjuster.report import Chosen, Report, Scored
from oompolicy_agent.adjuster.wanted import Wanted
from oompolicy_agent.order.collect import collect
from oompolicy_agent.plumbing.clock import boot_clock
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import BOOT, id_of, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node

BATCH_UID = "11111111-1111-4111-8111-111111111111"
BATCH_POD = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{BATCH_UID.replace('-', '_')}.slice"
BATCH_ID = "ef" * 32
BATCH = f"{BATCH_POD}/cri-containerd-{BATCH_ID}.scope"


@pytest.fixture
def scored(node: Node) -> Node:
    """Return the node without the hook, with an agent that may ask for scores, and two pods: web 300 and batch 500."""
    node.settings = replace(node.settings, scores=True)
    node.report(attached=True, backend="ObserveOnly", hook="None", message="this kernel has no hook")
    make(node.root, CONTAINER, BATCH)
    batch = raw_pod("batch-0", uid=BATCH_UID, app=BATCH_ID)
    batch["metadata"]["labels"] = {}
    node.put("pod.json", raw_pod())
    node.put("batch.json", batch)
    node.put("policy.json", raw_policy(value=300))
    node.restart()
    return node


def request_of(node: Node) -> Wanted:
    return wanted.parse((node.folder / "run/wanted.json").read_bytes())


def has_mode(node: Node, mode: str) -> bool:
    return bool(request_of(node).mode == mode == node.status["mode"])


def settings(mode: str) -> dict[str, Any]:
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMSettings",
        "metadata": {"name": "cluster"},
        "spec": {"mode": mode},
    }


def adjuster_reports(node: Node, **changes: Any) -> None:  # noqa: ANN401
    made = Report(
        boot_id=BOOT,
        boot_time_ns=boot_clock(),
        time="2026-11-28T12:00:00.000000Z",
        mode="Enforce",
        written=True,
        margin=1 << 30,
        total=1 << 32,
        scored=frozenset(id_of(node.root, path) for path in (CONTAINER, BATCH)),
    )
    report.write(node.folder / "adjuster/report.json", replace(made, **changes))


def enforcing(node: Node) -> tuple[str, str]:
    (found,) = [each for each in node.status["conditions"] if each["type"] == "Enforcing"]
    return found["status"], found["reason"]


def populate(node: Node, path: str, populated: int) -> None:
    (node.root / path / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")


def test_the_request_has_the_priorities_of_all_pods(scored: Node) -> None:
    """They are those of the map, which the observing program uses for its records."""
    found = request_of(scored)

    assert ("Enforce", 1000) == (found.mode, found.host_priority)
    assert [300, 500] == [found.cgroups[id_of(scored.root, path)] for path in (CONTAINER, BATCH)]
    assert {cgroup: entry[0] for cgroup, entry in scored.state["map"].items()} == found.cgroups


def test_the_order_has_the_margin_of_each_priority(scored: Node) -> None:
    """The lowest priority has none. Margins are those of the last look, and a silent adjuster has none."""
    for path in (CONTAINER, BATCH):
        (scored.root / path / "memory.stat").write_text("anon 4096\nshmem 0\n")
        (scored.root / path / "memory.current").write_text("4096\n")
        populate(scored, path, 1)

    def margins() -> list[tuple[int, int | None]]:
        state = scored.agent.order_state
        assert state
        return sorted((each.priority, each.margin) for each in collect(state).containers)

    assert [(300, None), (500, None)] == margins()
    adjuster_reports(scored, margins={500: 1 << 30})
    scored.until(lambda: enforcing(scored)[0] == "True")
    assert [(300, None), (500, 1 << 30)] == margins()


def test_the_order_has_the_scores_that_the_adjuster_holds(scored: Node) -> None:
    """A container may have its processes in cgroups below its own. Its score is then the largest of those."""
    (first, second) = make(scored.root, f"{BATCH}/a", f"{BATCH}/b")
    for path in (CONTAINER, BATCH):
        (scored.root / path / "memory.stat").write_text("anon 4096\nshmem 0\n")
        (scored.root / path / "memory.current").write_text("4096\n")
        populate(scored, path, 1)

    def held() -> tuple[str | None, str, list[tuple[int | None, int | None]]]:
        state = scored.agent.order_state
        assert state
        found = collect(state)
        return found.holding, found.held_problem, [(each.held, each.held_score) for each in found.containers]

    none: tuple[int | None, int | None] = (None, None)
    assert (None, True, [none] * 2) == (held()[0], held()[1].startswith("the adjuster does not report"), held()[2])
    scores = {id_of(scored.root, CONTAINER): Scored(250, 640), first: Scored(500, 110), second: Scored(500, 120)}
    adjuster_reports(scored, scores=scores)
    scored.until(lambda: enforcing(scored)[0] == "True")
    assert ("Scores", "") == held()[:2]
    assert {(250, 640), (500, 120)} == set(held()[2])
    adjuster_reports(scored, scores=scores, written=False, message="EPERM")
    scored.until(lambda: enforcing(scored)[1] == "ScoresNotWritten")
    assert ("Scores", "not all processes have their scores: EPERM") == held()[:2]
    scored.put("settings.json", settings("Audit"))
    scored.until(partial(has_mode, scored, "Audit"))
    adjuster_reports(scored, mode="Audit", written=False)
    scored.until(lambda: enforcing(scored)[1] == "Audit")
    assert (None, "the adjuster writes no score in the mode Audit", [none] * 2) == held()


def test_a_node_with_the_hook_asks_for_nothing(node: Node) -> None:
    """The adjuster restores there. The same holds without `--scores`."""
    node.settings = replace(node.settings, scores=True)
    node.restart()
    assert Wanted("Off", 1000, {}) == request_of(node)
    assert "EvaluateTask" == node.status["backend"]
    node.settings = replace(node.settings, scores=False)
    node.report(attached=True, backend="ObserveOnly", hook="None")
    node.restart()
    assert Wanted("Off", 1000, {}) == request_of(node)
    assert "ObserveOnly" == node.status["backend"]


def test_a_hook_that_comes_later_ends_the_scores(scored: Node) -> None:
    """The problems of the adjuster end with them."""
    assert ("False", "AdjusterSilent") == enforcing(scored)
    scored.report(attached=True)
    scored.until(lambda: request_of(scored).mode == "Off")
    scored.until(lambda: enforcing(scored) == ("True", "Attached"))

    assert scored.ready
    assert [] == scored.status["problems"]


def test_a_change_reaches_the_request_with_the_map(scored: Node) -> None:
    scored.put("policy.json", raw_policy(value=250))
    cgroup = id_of(scored.root, CONTAINER)
    scored.until(lambda: scored.priority(CONTAINER) == 250)

    assert 250 == request_of(scored).cgroups[cgroup]


def test_the_mode_of_oomsettings_reaches_the_request(scored: Node) -> None:
    """Programs of an older version, which have no mode, do not keep the adjuster from the mode Off."""
    for mode in ("Audit", "Off", "Enforce"):
        scored.put("settings.json", settings(mode))
        scored.until(partial(has_mode, scored, mode))
    del scored.state["mode"]
    scored.put("settings.json", settings("Off"))
    scored.until(lambda: request_of(scored).mode == "Off")


def test_a_node_without_any_program_has_scores_too(scored: Node) -> None:
    """It is not ready, because nothing reports its victims. The mode survives a restart of the agent."""
    scored.state["pinned"] = 0
    scored.report(attached=False, backend="ObserveOnly", message="no BTF")
    scored.put("settings.json", settings("Audit"))
    scored.until(lambda: request_of(scored).mode == "Audit")
    assert 300 == request_of(scored).cgroups[id_of(scored.root, CONTAINER)]
    adjuster_reports(scored, mode="Audit", written=False)
    scored.until(lambda: enforcing(scored) == ("False", "Audit"))
    assert not scored.ready
    (scored.folder / "manifests/settings.json").unlink()
    scored.restart()
    assert "Audit" == request_of(scored).mode


def test_the_end_of_the_agent_leaves_the_request(scored: Node) -> None:
    """The order stays as it is until the next agent has other priorities."""
    before = request_of(scored)
    scored.agent.stop()

    assert before == request_of(scored)
    scored.boot()
    scored.agent.start()
    assert before == request_of(scored)


def test_a_removed_request_comes_back(scored: Node) -> None:
    before = request_of(scored)
    (scored.folder / "run/wanted.json").unlink()
    scored.agent.full_check()

    assert before == request_of(scored)


def test_the_status_follows_the_adjuster(scored: Node) -> None:
    """A silent adjuster makes the node not ready. With a fresh report the node enforces."""
    assert ("False", "AdjusterSilent") == enforcing(scored)
    assert not scored.ready
    adjuster_reports(scored)
    scored.until(lambda: enforcing(scored) == ("True", "ScoresInForce"))
    assert scored.ready
    assert ["OOMScoreAdj", "None"] == [scored.status[key] for key in ("backend", "hook")]
    assert {"marginBytes": 1 << 30, "misses": 0, "time": "2026-11-28T12:00:00.000000Z"} == scored.status["order"]
    state = scored.agent.order_state
    assert state
    assert ("OOMScoreAdj", True, "Enforce") == (state.backend, state.enforcing, state.mode)
    adjuster_reports(scored, written=False, message="some processes cannot be written: EACCES")
    scored.until(lambda: enforcing(scored) == ("False", "ScoresNotWritten"))
    assert not scored.ready
    adjuster_reports(scored, boot_id="another")
    scored.until(lambda: enforcing(scored) == ("False", "AdjusterSilent"))


def died(node: Node, path: str = BATCH, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Kill a process of a container, as the observing program reports it, and return the Event."""
    before = len(node.events)
    given = {"priority": 500, "flags": 0, "boottime_ns": boot_clock(), "tgid": 77, **fields}
    given["victim_tgid"] = given.pop("tgid")
    node.kill(path, **given)
    node.until(lambda: len(node.events) > before)
    return node.events[-1]


def test_the_event_names_the_process_that_the_original_values_would_have_chosen(
    scored: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """The pod is that of the cgroup in the report. The log has the names and the age."""
    for path in (CONTAINER, BATCH):
        populate(scored, path, 0)
    web = Chosen(id_of(scored.root, CONTAINER), 12, 345, 4096, 300, "java")
    adjuster_reports(scored, boot_time_ns=boot_clock() - 3_000_000_000, spared={"Node": web})
    scored.until(lambda: enforcing(scored)[0] == "True")
    note = died(scored)["note"]

    assert "priority 500 from" not in note
    assert "priority 500" in note
    assert "the kernel did not use" not in note
    assert "spared: java (pid 12) in container app of pod team-a/web-0, priority 300, would have been killed" in note
    assert "by the kernel's own scores 3." in note
    assert "missed" not in note
    (line,) = [each.fields for each in caplog.records if hasattr(each, "fields")]
    assert ["Enforce", "Different", "web-0", None, []] == [
        line["mode"], line["comparison"], line["spared"]["pod"], line["spared"]["badness"], line["missed"],
    ]  # fmt: skip
    assert 3 <= line["lookAge"] < 60


def test_a_lower_priority_that_lives_on_is_a_miss(scored: Node) -> None:
    """The Event names it, and the node counts it. A container without processes is no candidate."""
    populate(scored, CONTAINER, 1)
    adjuster_reports(scored)
    scored.until(lambda: enforcing(scored)[0] == "True")
    note = died(scored)["note"]

    assert "missed: container app of pod team-a/web-0, priority 300, should have died before it" in note
    scored.until(lambda: scored.status["order"]["misses"] == 1)
    assert 1 == scored.agent.counters.order_misses
    populate(scored, CONTAINER, 0)
    assert "missed" not in died(scored, tgid=78)["note"]
    assert 1 == scored.agent.counters.order_misses


def test_in_audit_the_event_names_the_choice_of_the_scores(scored: Node) -> None:
    """The kernel chose by the original values, and nothing is a miss."""
    scored.put("settings.json", settings("Audit"))
    scored.until(lambda: request_of(scored).mode == "Audit")
    populate(scored, CONTAINER, 1)
    web = Chosen(id_of(scored.root, CONTAINER), 12, 345, 4096, 300, "java")
    adjuster_reports(scored, mode="Audit", written=False, would_kill={"Node": web})
    scored.until(lambda: enforcing(scored) == ("False", "Audit"))
    note = died(scored)["note"]

    assert "mode Audit: 0." in note
    assert "s before, the scores would have killed java (pid 12) in container app of pod team-a/web-0" in note
    assert "missed" not in note


def test_a_victim_without_a_known_look_says_so(scored: Node) -> None:
    """The adjuster is silent, and scores of an earlier look may be in force."""
    populate(scored, CONTAINER, 1)
    note = died(scored)["note"]

    assert "it is unknown if scores had the order, because the adjuster did not report a look before it" in note
    assert 0 == scored.agent.counters.order_misses


def test_in_the_mode_off_the_event_claims_nothing(scored: Node) -> None:
    scored.put("settings.json", settings("Off"))
    scored.until(lambda: request_of(scored).mode == "Off")
    adjuster_reports(scored, mode="Off", written=False, margin=None, scored=frozenset())
    scored.until(lambda: enforcing(scored) == ("False", "Off"))

    assert "which the kernel did not use, because the mode of the node is Off" in died(scored)["note"]


def test_a_look_after_the_death_does_not_count(scored: Node) -> None:
    """The agent remembers the look before it, and the process of the report after it is another one."""
    early, late = (Chosen(id_of(scored.root, CONTAINER), pid, 345, 4096, 300, "java") for pid in (12, 13))
    adjuster_reports(scored, spared={"Node": early})
    scored.until(lambda: enforcing(scored)[0] == "True")
    killed_at = boot_clock()
    adjuster_reports(scored, spared={"Node": late})

    assert "spared: java (pid 12)" in died(scored, boottime_ns=killed_at)["note"]
