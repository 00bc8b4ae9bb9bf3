# SPDX-License-Identifier: Apache-2.0
"""The conditions of the status say whether a node enforces, and give the reason if it does not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.conditions import MESSAGE_LENGTH
from oompolicy.manifests import manifests_from_objects
from oompolicy.model import Assignment, Refusal
from oompolicy.oomsettings import Mode
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.proof import Proof, ProofReason
from oompolicy_agent.status.document import LISTED, View, build, reasons, write
from oompolicy_agent.status.problems import SENTENCES, Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import pod, raw_pod

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 20, 31, 47, 5, UTC)
PROOF = Proof(
    reason=ProofReason.PROVED,
    message="in 2 OOMs, the right process was killed",
    time="2026-11-25T00:00:00Z",
    boot="boot",
    object="3f2a",
    hook="Module",
    kernel="6.12.107",
)
ATTACHED = Attachment("EvaluateTask", "Module", "6.12.107", None, "", (), proof=PROOF)
GOOD = View(
    mode=Mode.ENFORCE,
    attachment=ATTACHED,
    policy_hash="abc",
    pods=(pod(),),
    not_mapped=(),
    entries=5,
    entries_missing=0,
    counters={Stat.VICTIMS: 3, Stat.VICTIMS_DROPPED: 1, Stat.SELECTIONS: 2},
    spooled=1,
    spool_dropped=2,
    problems={},
)


def condition(view: View, kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in build(view, {}, NOW)["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


def test_a_good_node_is_ready_enforces_and_is_synced() -> None:
    """The status has the fields that become OOMNode.status."""
    made = build(GOOD, {}, NOW)

    assert ["Enforce", "EvaluateTask", "Module", "6.12.107", "abc"] == [
        made[key] for key in ("mode", "backend", "hook", "kernelVersion", "policyHash")
    ]
    assert [("Ready", "True"), ("Enforcing", "True"), ("Synced", "True"), ("Proven", "True")] == [
        (each["type"], each["status"]) for each in made["conditions"]
    ]
    expected = {"pods": 1, "podsMapped": 1, "mapEntries": 5, "victims": 3, "victimsDropped": 1, "eventsDropped": 2}
    assert expected.items() <= made["counts"].items()


@pytest.mark.parametrize(
    ("attachment", "because"),
    [
        (ATTACHED, "the hook's module is loaded"),
        (replace(ATTACHED, hook="Kernel"), "this kernel has the hook"),
        (replace(ATTACHED, backend="ObserveOnly", hook="None", message="no hook"), "no hook"),
        (replace(ATTACHED, problem="links are missing"), "links are missing"),
        (
            replace(ATTACHED, disabled="no ftrace", warnings=("vm.panic_on_oom=1: bad",)),
            "the hook's module is loaded; no ftrace; vm.panic_on_oom=1: bad",
        ),
        (replace(ATTACHED, backend="ObserveOnly", hook="None"), "the loader does not say why"),
        (replace(ATTACHED, message="x" * 2000), "x" * 1023 + "…"),
    ],
)
@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.OFF, None])
def test_every_mode_has_the_reason_of_the_backend(attachment: Attachment, mode: Mode | None, because: str) -> None:
    """In Audit and Off the condition Enforcing is about the mode alone."""
    assert because == build(replace(GOOD, attachment=attachment, mode=mode), {}, NOW)["backendReason"]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (ProofReason.PROVED, "True"),
        (ProofReason.WRONG_VICTIM, "False"),
        (ProofReason.NO_VICTIM, "False"),
        (ProofReason.NOT_POSSIBLE, "Unknown"),
        (ProofReason.TURNED_OFF, "Unknown"),
    ],
)
def test_the_result_of_the_proof_is_a_condition(reason: ProofReason, status: str) -> None:
    """The message says where and when the proof was made. A result that shows nothing is Unknown."""
    view = replace(GOOD, attachment=replace(ATTACHED, proof=replace(PROOF, reason=reason, message="one sentence")))
    made = "backend EvaluateTask, hook Module, kernel 6.12.107, 2026-11-25T00:00:00Z"

    assert (status, reason, f"one sentence ({made})") == condition(view, "Proven")


@pytest.mark.parametrize(
    ("attachment", "message"),
    [
        (replace(ATTACHED, proof=None, problem="the loader has not run"), "the loader has not run"),
        (
            Attachment("ObserveOnly", "None", "6.12.107", None, "no hook", ()),
            "the loader has made no proof for the backend ObserveOnly",
        ),
    ],
)
def test_a_node_without_a_proof_is_not_proved(attachment: Attachment, message: str) -> None:
    """The condition is Unknown, because nothing was shown."""
    assert ("Unknown", "NotProved", message) == condition(replace(GOOD, attachment=attachment), "Proven")


@pytest.mark.parametrize(
    ("problem", "reason", "synced"),
    [
        (Reason.INVALID_MANIFESTS, "InvalidManifests", "LastGoodState"),
        (Reason.NOT_SYNCED, "NotSynced", "NotSynced"),
        (Reason.CGROUPS_UNREADABLE, "CgroupsUnreadable", "CgroupsUnreadable"),
        (Reason.PINS_MISSING, "PinsMissing", "PinsMissing"),
        (Reason.NOT_ATTACHED, "NotAttached", "Synced"),
        (Reason.MAP_NOT_WRITTEN, "MapNotWritten", "MapNotWritten"),
    ],
)
def test_these_problems_make_a_node_not_ready(problem: Reason, reason: str, synced: str) -> None:
    """The condition has the problem's reason, and its sentences as message."""
    view = replace(GOOD, problems={problem: ("one", "two")})

    assert ("False", reason, "one; two") == condition(view, "Ready")
    assert synced == condition(view, "Synced")[1]
    assert ("one", "two") == reasons(view.problems)
    assert ["one", "two"] == build(view, {}, NOW)["problems"]


@pytest.mark.parametrize(
    "problem",
    [
        Reason.EVENTS_NOT_DELIVERED,
        Reason.SPOOL_NOT_WRITTEN,
        Reason.BYPASSED,
        Reason.MAP_FULL,
        Reason.CHECKPOINT_NOT_WRITTEN,
        Reason.STATUS_NOT_WRITTEN,
        Reason.API_UNREACHABLE,
        Reason.POLICIES_LEFT_OUT,
        Reason.UNKNOWN_FIELDS,
        Reason.POD_FIELDS_UNREADABLE,
        Reason.OOMNODE_NOT_WRITTEN,
        Reason.CGROUP_DRIVERS_DIFFER,
        Reason.FOLDER_NOT_WATCHED,
    ],
)
def test_these_problems_leave_a_node_ready(problem: Reason) -> None:
    """The node enforces all the same, and the status lists the problem."""
    view = replace(GOOD, problems={problem: ("one",)})

    assert "True" == condition(view, "Ready")[0]
    assert ["one"] == build(view, {}, NOW)["problems"]


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        (ATTACHED, ("True", "Attached", "backend EvaluateTask, hook Module")),
        (
            replace(ATTACHED, backend="ObserveOnly", hook="None", message="no hook"),
            ("False", "ObserveOnly", "no hook"),
        ),
        (replace(ATTACHED, problem="nothing attached"), ("False", "NotAttached", "nothing attached")),
        (Attachment("", "", "6", "the loader has not run", "", ()), ("False", "NotAttached", "the loader has not run")),
        (
            replace(ATTACHED, warnings=("vm.panic_on_oom=1: bad",)),
            ("True", "Bypassed", "backend EvaluateTask, hook Module; vm.panic_on_oom=1: bad"),
        ),
        (
            replace(ATTACHED, disabled="no ftrace", warnings=("vm.panic_on_oom=1: bad",)),
            ("False", "Bypassed", "no ftrace; vm.panic_on_oom=1: bad; backend EvaluateTask, hook Module"),
        ),
        (
            replace(ATTACHED, backend="ObserveOnly", hook="None", message="no hook", disabled="no ftrace"),
            ("False", "ObserveOnly", "no ftrace; no hook"),
        ),
    ],
)
def test_enforcing_has_the_backend_or_the_reason(attachment: Attachment, expected: tuple[str, str, str]) -> None:
    """One condition has backend, hook, warnings and the reason for not enforcing."""
    assert expected == condition(replace(GOOD, attachment=attachment), "Enforcing")


def test_victims_that_bypassed_the_hook_are_reported() -> None:
    """Only the counter shows them."""
    view = replace(GOOD, counters={Stat.BYPASSED: 4})

    assert "the OOM killer killed 4 processes without asking the hook" in condition(view, "Enforcing")[2]


def test_a_full_map_is_not_synced() -> None:
    """The message has the number of missing entries."""
    status, reason, message = condition(replace(GOOD, entries_missing=7), "Synced")

    assert ("False", "MapFull") == (status, reason)
    assert "7 entries are missing" in message


def test_a_node_without_an_api_server_is_ready_and_has_the_time() -> None:
    """The entries in the kernel are still right, and a restart of the pod or the node would not help."""
    view = replace(
        GOOD, problems={Reason.API_UNREACHABLE: ("no reply from the API server since 2026-11-22T20:00:00Z",)}
    )

    assert ("False", "APIUnreachable", "no reply from the API server since 2026-11-22T20:00:00Z") == condition(
        view, "Synced"
    )
    assert "True" == condition(view, "Ready")[0]
    assert () == view.reasons


def test_pods_without_cgroup_are_listed() -> None:
    """They are no problem of this node."""
    view = replace(GOOD, not_mapped=(pod(),))
    made = build(view, {}, NOW)

    assert [{"namespace": "team-a", "name": "web-0", "uid": pod().uid}] == made["notMapped"]
    assert 0 == made["counts"]["podsMapped"]
    assert ("True", "PodsNotMapped", "1 pods have no cgroup yet") == condition(view, "Synced")


def test_finished_pods_are_not_counted() -> None:
    """They will never have a cgroup again."""
    assert 0 == build(replace(GOOD, pods=(pod(phase="Succeeded"),)), {}, NOW)["counts"]["pods"]


def test_refused_annotations_are_listed() -> None:
    """Each one has the sentence for the pod's owner."""
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"oompolicy.dev/priority": "650"}
    pods = manifests_from_objects([(None, raw)]).pods
    (refusal,) = build(replace(GOOD, assignments=resolve((), (), pods)), {}, NOW)["refusals"]

    assert ("team-a", "web-0", "oompolicy.dev/priority", "650") == (
        refusal["namespace"], refusal["name"], refusal["annotation"], refusal["value"]
    )  # fmt: skip
    assert refusal["message"]


def refusing(namespace: str, refusals: int, more: int = 0) -> Assignment:
    made = tuple(Refusal(f"oompolicy.dev/a{number}", "", "unknown annotation") for number in range(refusals))
    return Assignment(
        "u", "u", namespace, "web-0", 500, "r", "default", refusals=made, more_refusals=more
    )  # fmt: skip


def test_only_some_refusals_of_each_namespace_are_listed() -> None:
    """The file is written at each change and read by people. A namespace with many refusals hides no other."""
    made = build(replace(GOOD, assignments=(*[refusing("evil", 10, 90)] * 50, refusing("shop", 1))), {}, NOW)

    assert LISTED == len(made["refusals"])
    assert "shop" in {refusal["namespace"] for refusal in made["refusals"]}
    assert 5_001 == len(made["refusals"]) + made["moreRefusals"]


def test_only_some_pods_without_a_cgroup_are_listed() -> None:
    """The counts include all of them."""
    pods = tuple(pod(f"web-{number}") for number in range(5_000))
    made = build(replace(GOOD, pods=pods, not_mapped=pods), {}, NOW)

    assert (LISTED, 5_000, 0) == (len(made["notMapped"]), made["counts"]["pods"], made["counts"]["podsMapped"])


def test_an_invalid_policy_makes_synced_false() -> None:
    """The node stays ready, because it enforces all other policies, and one invalid policy must not stop a rollout."""
    view = replace(GOOD, problems={Reason.POLICIES_LEFT_OUT: ("OOMPolicy/p1: spec.priority: is required",)})
    status, reason, message = condition(view, "Synced")

    assert ("False", "PoliciesLeftOut") == (status, reason)
    assert "OOMPolicy/p1: spec.priority: is required" in message
    assert "True" == condition(view, "Ready")[0]


def test_unknown_fields_are_the_reason_of_synced() -> None:
    """The condition stays true, because unknown fields are no error."""
    view = replace(
        GOOD, problems={Reason.UNKNOWN_FIELDS: ("OOMPolicy/p1: spec.newField: unknown field",)}, not_mapped=(pod(),)
    )
    status, reason, message = condition(view, "Synced")

    assert ("True", "UnknownFields") == (status, reason)
    assert "spec.newField" in message


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    """A new reason does not change the time."""
    first = build(GOOD, {}, NOW)
    same = build(replace(GOOD, not_mapped=(pod(),)), first, NOW + timedelta(minutes=1))
    other = build(replace(GOOD, problems={Reason.MAP_NOT_WRITTEN: ("x",)}), same, NOW + timedelta(minutes=2))

    assert "2026-11-22T20:31:47Z" == times(same)["Synced"]
    assert ("2026-11-22T20:33:47Z", "2026-11-22T20:31:47Z") == (times(other)["Ready"], times(other)["Enforcing"])


def times(status: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}


def test_a_message_has_a_bounded_length() -> None:
    """A thousand invalid manifests do not make a megabyte."""
    message = condition(replace(GOOD, problems={Reason.INVALID_MANIFESTS: ("x" * 100,) * 1000}), "Ready")[2]

    assert MESSAGE_LENGTH == len(message)


def test_the_file_is_json_that_everyone_may_read(tmp_path: Path) -> None:
    """No temporary file stays beside it."""
    write(tmp_path / "status.json", build(GOOD, {}, NOW))

    assert build(GOOD, {}, NOW) == json.loads((tmp_path / "status.json").read_text())
    assert 0o644 == (tmp_path / "status.json").stat().st_mode & 0o777
    assert 1 == len(list(tmp_path.iterdir()))


def test_a_file_name_may_be_no_utf_8(tmp_path: Path) -> None:
    """Its problem can be reported and written."""
    problems = Problems()
    problems.set(Reason.INVALID_MANIFESTS, os.fsdecode(b"caf\xe9.yaml: is not UTF-8"))
    write(tmp_path / "status.json", build(replace(GOOD, problems=problems.current), {}, NOW))

    assert ["caf?.yaml: is not UTF-8"] == json.loads((tmp_path / "status.json").read_text())["problems"]


def test_only_some_of_many_problems_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Each one is written to status.json at each change, and once to the log."""
    problems = Problems()
    problems.set(Reason.POD_FIELDS_UNREADABLE, *(f"Pod/a/{number}: is wrong" for number in range(100)))
    found = problems.current[Reason.POD_FIELDS_UNREADABLE]

    assert (SENTENCES + 1, "and 80 more") == (len(found), found[-1])
    assert SENTENCES + 1 == len(caplog.messages)


def test_a_problem_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A second line reports its end."""
    caplog.set_level("INFO")
    problems = Problems()
    changed = [
        problems.set(Reason.MAP_NOT_WRITTEN, "full"),
        problems.set(Reason.MAP_NOT_WRITTEN, "full"),
        problems.set(Reason.MAP_NOT_WRITTEN, "full", "worse"),
    ]
    changed += [
        problems.set(Reason.MAP_NOT_WRITTEN),
        problems.set(Reason.MAP_NOT_WRITTEN, None),
        problems.set(Reason.PINS_MISSING),
    ]

    assert [True, False, True, True, False, False] == changed
    assert ["MapNotWritten: full", "MapNotWritten: worse", "MapNotWritten: resolved"] == caplog.messages
    assert {} == problems.current


@pytest.mark.parametrize(("mode", "reason"), [(Mode.AUDIT, "Audit"), (Mode.OFF, "Off")])
def test_a_node_in_another_mode_does_not_enforce_and_is_ready(mode: Mode, reason: str) -> None:
    """The node is ready, because it has the mode of OOMSettings."""
    view = replace(GOOD, mode=mode)
    status, found, message = condition(view, "Enforcing")

    assert mode == build(view, {}, NOW)["mode"]
    assert "False" == status
    assert reason == found
    assert message.startswith(f"mode {mode}: the kernel chooses each victim")
    assert "True" == condition(view, "Ready")[0]


def test_a_node_that_cannot_enforce_has_the_reason_in_every_mode() -> None:
    """A missing program is reported in every mode."""
    attachment = replace(ATTACHED, problem="the loader has not run")

    assert "NotAttached" == condition(replace(GOOD, mode=Mode.AUDIT, attachment=attachment), "Enforcing")[1]
