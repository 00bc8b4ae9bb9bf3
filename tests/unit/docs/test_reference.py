# SPDX-License-Identifier: Apache-2.0
"""docs/reference.md has exactly the conditions, reasons, fields, metrics and messages of the programs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
import yaml

from oompolicy.controller import nodestatus, policystatus, settingsstatus
from oompolicy.controller.heartbeats import SilentReason
from oompolicy.controller.metrics import Metrics as OperatorMetrics
from oompolicy.controller.modetable import Difference
from oompolicy.controller.nodetable import NodeCondition, NodeReport
from oompolicy.controller.policystatus import PolicyCounts
from oompolicy.controller.settingsstatus import NodeModes
from oompolicy.controller.settingstable import SettingsTable
from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.kernel.proof import ProofReason
from oompolicy_agent.loader import build, module, plan
from oompolicy_agent.loader.bpftool import Tool
from oompolicy_agent.loader.errors import UnsupportedError
from oompolicy_agent.loader.hook import MODULE, Hook
from oompolicy_agent.loader.node import Cgroup
from oompolicy_agent.status import document
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.metrics import Metrics as AgentMetrics
from oompolicy_agent.status.reasons import PROBLEMS, EventReason, Reason, Scope
from oompolicy_agent.status.scores import Order, Scores
from oompolicy_agent.victims.event import note
from oompolicy_agent.victims.naming import HOST, NamedVictim
from tests.unit.agent.fakes import pod
from tests.unit.agent.kernel.test_btf import elf
from tests.unit.agent.loader.test_module import KERNEL, with_function
from tests.unit.agent.loader.test_plan import GOOD as GOOD_NODE
from tests.unit.agent.loader.test_plan import obstacle
from tests.unit.agent.status.test_document import ATTACHED, GOOD, PROOF
from tests.unit.agent.victims.test_event import APP_OWNER, AUDIT, CHANGED, named
from tests.unit.agent.victims.test_logged import parsed
from tests.unit.controller.raws import raw_settings
from tests.unit.controller.test_policystatus import record
from tests.unit.docs.page import CHECKOUT, codes, rows, section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy_agent.loader.node import Node

PAGE: Final = "reference.md"
NOW: Final = datetime(2026, 11, 25, tzinfo=UTC)

ATTACHMENTS: Final = (
    ATTACHED,
    replace(ATTACHED, warnings=("vm.panic_on_oom=1",)),
    replace(ATTACHED, disabled="kernel.ftrace_enabled=0"),
    replace(ATTACHED, problem="the loader has not run"),
    *(replace(ATTACHED, proof=replace(PROOF, reason=reason)) for reason in ProofReason),
    Attachment("ObserveOnly", "None", "6.12.107", None, "no hook", ()),
    Attachment("OfTomorrow", "Kernel", "6.12.107", None, "", ()),
)
ORDER: Final = Order(1 << 30, 1 << 33, (), "2026-11-25T00:00:00Z", 0)
SCORES: Final = (
    *(
        Scores(reason, "sentence", Order(None, 0, (), "", 0))
        for reason in (Reason.ADJUSTER_SILENT, Reason.SCORES_PENDING)
    ),
    Scores(Reason.SCORES_NOT_WRITTEN, "sentence", ORDER),
    Scores(Reason.SCORES_IN_FORCE, "", ORDER),
    Scores(Reason.SCORES_IN_FORCE, "", ORDER._replace(margin=1)),
    Scores(Reason.ORDER_CANNOT_HOLD, "sentence", ORDER._replace(unmet=(950,))),
)
BAD_NODES: Final[tuple[dict[str, Any], ...]] = (
    {"btf": False},
    {"lockdown": "confidentiality"},
    {"ftrace": False},
    {"cgroup": Cgroup.HYBRID},
    {"cgroup": Cgroup.OTHER},
    {"memory_controller": False},
    {"bpffs": False},
    {"bpftool": Tool.MISSING},
    {"bpftool": Tool.OLD},
    {"capabilities": frozenset()},
)


def conditions_on_page(headings: dict[str, str]) -> set[tuple[str, str, str]]:
    """Return type, status and reason of each row. `headings` gives the type for a section's heading."""
    return {
        (kind, cells[0], codes(cells[1])[0])
        for heading, kind in headings.items()
        for cells in rows(section(PAGE, heading))
    }


def conditions_of_nodes() -> Iterator[tuple[str, str, str]]:
    views = [
        replace(GOOD, attachment=attachment, problems=problems, entries_missing=missing, not_mapped=not_mapped)
        for attachment, problems, missing, not_mapped in product(
            ATTACHMENTS, [{}, *({problem: ("sentence",)} for problem in PROBLEMS)], (0, 1), ((), (pod(),))
        )
    ]
    views += [replace(GOOD, mode=mode) for mode in Mode]
    views += [replace(GOOD, max_kills=2), replace(GOOD, max_kills=2, circuit="sentence", mode=Mode.AUDIT)]
    views += [replace(GOOD, scores=scores) for scores in SCORES]
    for view in views:
        for each in document.build(view, {}, NOW)["conditions"]:
            yield each["type"], each["status"], str(each["reason"])


def test_the_page_has_every_condition_of_a_node() -> None:
    """The page has each status and reason that an agent can give. The reasons below belong to no condition."""
    made = set(conditions_of_nodes())

    kinds = ("Ready", "Enforcing", "Proven", "OrderHolds", "Synced", "CircuitOpen")
    assert made == conditions_on_page({each: each for each in kinds})
    assert {
        Reason.POD_FIELDS_UNREADABLE,
        Reason.CGROUP_DRIVERS_DIFFER,
        Reason.EVENTS_NOT_DELIVERED,
        Reason.OOMNODE_NOT_WRITTEN,
        Reason.SPOOL_NOT_WRITTEN,
        Reason.CHECKPOINT_NOT_WRITTEN,
        Reason.STATUS_NOT_WRITTEN,
        Reason.FOLDER_NOT_WATCHED,
        Reason.SETTINGS_NOT_SYNCED,
    } == set(Reason) - {reason for _, _, reason in made}


def test_the_page_has_every_condition_of_a_silent_agent() -> None:
    """The operator gives all conditions of an OOMNode the same status and reason."""
    claims = tuple(NodeCondition(kind, "True", "Good", "") for kind in ("Ready", "Enforcing"))
    silent = NodeReport("n1", "", "", claims)
    built = [nodestatus.unknown(silent, reason, "oompolicy-system", NOW) for reason in SilentReason]
    made = {("any", each["status"], str(each["reason"])) for conditions in built for each in conditions}

    assert made == conditions_on_page({"A silent agent": "any"})


NO_LABEL = {"key": "a", "operator": "DoesNotExist"}


def test_the_page_has_every_condition_of_a_policy() -> None:
    """The operator can give each of these statuses and reasons."""
    left_out = replace(record(), policy=None, problem="spec.priority: is required")
    policies = (
        record(),
        left_out,
        replace(record(), unknown_fields=("spec.newField",)),
        record(match={"podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [NO_LABEL]}}),
        record(priority={"byPriorityClass": {"system-node-critical": 900}}),
    )
    counts = [PolicyCounts(1, 1, 1, others) for others in ([], ["b"])]
    built = [policystatus.build(policy, each, NOW) for policy in policies for each in counts]
    made = {(each["type"], each["status"], str(each["reason"])) for one in built for each in one["conditions"]}

    assert made == conditions_on_page({"Ready of a policy": "Ready", "Overlapping": "Overlapping"})
    assert set(policystatus.Reason) == {reason for _, _, reason in made}


def fields(schema: dict[str, Any], path: str, required: bool = False) -> Iterator[tuple[str, str]]:
    """Yield each field with the default that the page has to give, except for the fields of a label selector."""
    below = schema.get("items", schema)
    properties = {} if path.endswith("Selector") or path.endswith("conditions") else below.get("properties", {})
    if path.count("."):
        default = schema.get("default", "required" if required else "none")
        default = str(default).lower() if isinstance(default, bool) else str(default)
        yield path, default if path.startswith("spec") else ""
    inner = f"{path}[]" if "items" in schema else path
    for name, each in properties.items():
        yield from fields(each, f"{inner}.{name}", name in below.get("required", ()))


def test_the_page_has_every_field_of_the_settings() -> None:
    """Each field is there with its default."""
    crd = yaml.safe_load((CHECKOUT / "crds/oompolicy.dev_oomsettings.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    table = rows(section(PAGE, "OOMSettings"))
    found = {codes(cells[0])[0]: cells[1].strip("`") for cells in table if "." in cells[0]}

    assert {**dict(fields(schema["spec"], "spec")), **dict(fields(schema["status"], "status"))} == found
    assert list(Mode) == [codes(cells[0])[0] for cells in table if "." not in cells[0]]


def test_the_page_has_every_condition_of_the_settings() -> None:
    """Each status and reason that the operator can give is on the page."""
    entry = ({"pool": "canary"}, "Off")
    late = {"n1": Difference(Mode.OFF, "Enforce")}
    raws = [raw_settings(node_modes=each) for each in ((), [entry], [entry, entry])]
    raws += [raw_settings("Sometimes"), {**raw_settings(), "spec": {"mode": "Off", "newField": 1}}]
    views = [
        NodeModes({}, {}, used, bool(differing) or changing, differing, overridden)
        for used in (frozenset[int](), frozenset({0}))
        for changing in (False, True)
        for differing in ({}, late)
        for overridden in ({}, {"n1": ("Off", "kubectl")})
    ]
    made = set()
    for raw, view in product(raws, views):
        table = SettingsTable()
        table.put(raw)
        assert table.record is not None
        status = settingsstatus.build(table.record, table.valid, view, NOW)
        made |= {(each["type"], each["status"], str(each["reason"])) for each in status["conditions"]}

    headings = {kind: kind for kind in ("UnusedNodeModes", "Applied", "Overridden")}
    assert made == conditions_on_page({"Ready of the settings": "Ready", **headings})
    assert set(settingsstatus.Reason) == {reason for _, _, reason in made}


def test_the_page_has_every_event() -> None:
    assert list(EventReason) == [code for cells in rows(section(PAGE, "Events")) for code in codes(cells[0])]


def notes() -> list[str]:
    """Return a note of each kind."""
    spared: dict[str, Any] = {"spared_tgid": 1, "spared_comm": b"postgres", "spared_priority": 900, "spared_badness": 5}
    scopes = [named(scope=scope) for scope in get_args(Scope)]
    made = [
        *scopes,
        named(flags=VictimFlag.SELECTED | VictimFlag.CONSTRAINED),
        named(flags=VictimFlag.SELECTED | VictimFlag.GROUP),
        named(flags=0),
        named(scope="Unknown", flags=VictimFlag.NO_SCOPE),
        named(owner=HOST),
        named(priority=301),
        named(replace(APP_OWNER, container="", kind="pod"), oom_score_adj=-998),
        named(flags=CHANGED, trigger_tgid=1, **spared),
        named(flags=VictimFlag.OFF),
        named(flags=AUDIT),
        named(flags=AUDIT | VictimFlag.UNSURE),
        named(flags=AUDIT | VictimFlag.CHANGED, **spared),
        NamedVictim(parsed(path=None, scope=None, trigger=None), HOST, None, "Unknown", "", None, None),
    ]
    return [note(each, disclose=disclose) for each in made for disclose in (True, False)]


def test_the_page_explains_every_part_of_a_note() -> None:
    """The page has no part that is in no note."""
    said = [part for each in notes() for part in each.partition(": scope")[2].split("; ")]
    places = [each.partition(": scope")[0].partition(" in ")[2] for each in notes()]
    phrases = [cells[0].replace(", and no more", "") for cells in rows(section(PAGE, "The note of a victim"))]
    patterns = {phrase: re.compile(pattern_of(phrase.removeprefix("scope"))) for phrase in phrases}

    assert [] == [part for part in said if not any(each.fullmatch(part) for each in patterns.values())]
    assert [] == [phrase for phrase in phrases if not any(map(patterns[phrase].match, [*said, *places]))]


def test_the_page_has_every_problem_and_its_effect_on_readiness() -> None:
    found = {code: cells[1] for cells in rows(section(PAGE, "Problems")) for code in codes(cells[0])}

    assert {problem: "yes" if problem in document.READINESS else "no" for problem in PROBLEMS} == found


def test_the_page_has_every_field_of_the_status() -> None:
    """This includes every count."""
    built = document.build(GOOD, {}, NOW)
    found = [code for cells in rows(section(PAGE, "status.json")) for code in codes(cells[0])]

    assert sorted([*built, *built["counts"], "counts"]) == sorted([*found, "counts"])


def metrics_on_page(heading: str) -> dict[str, list[str]]:
    return {codes(cells[0])[0]: codes(cells[1]) for cells in rows(section(PAGE, heading))}


def exposed(name: str, kind: str) -> str:
    """Return the metric's name in Prometheus."""
    return f"{name}_total" if kind == "counter" else name


def test_the_page_has_every_metric_of_the_agent() -> None:
    """Each has its labels."""
    families = AgentMetrics(Counters(), lambda: GOOD, dict).collect()

    assert {
        exposed(each.name, each.type): list(getattr(each, "_labelnames", ())) for each in families
    } == metrics_on_page("Metrics of the agent")


def test_the_page_has_every_metric_of_the_operator() -> None:
    """The labels are read from the metrics, because a registry has them only once there are values."""
    metrics = OperatorMetrics()
    labels = {each._name: list(each._labelnames) for each in vars(metrics).values() if hasattr(each, "_labelnames")}
    families = list(metrics.registry.collect())

    assert {exposed(each.name, each.type): labels[each.name] for each in families} == metrics_on_page(
        "Metrics of the operator"
    )


def messages() -> dict[str, re.Pattern[str]]:
    """Return the page's messages. Each has `...` for the parts that depend on the node."""
    found = [codes(cells[0])[0] for cells in rows(section(PAGE, "What the loader says"))]
    return {message: re.compile(pattern_of(message)) for message in found}


def pattern_of(message: str) -> str:
    return ".+".join(map(re.escape, message.split("...")))


def sentences(tmp_path: Path) -> Iterator[str]:
    for change in BAD_NODES:
        yield obstacle(replace(GOOD_NODE, **change)) or ""
    bare: Node = replace(GOOD_NODE, hook=Hook.NONE)
    yield plan.decide(bare, None).message or ""
    yield module.insert(tmp_path / "gone.ko") or ""
    for content in (elf(b"", ".text"), with_function("another_function")):
        (tmp_path / "hook.ko").write_bytes(content)
        yield module.insert(tmp_path / "hook.ko") or ""
    (tmp_path / "hook.ko").write_bytes(elf(b"", ".text"))
    with pytest.raises(UnsupportedError) as unusable:
        build._check(tmp_path / "hook.ko", headers=tmp_path)
    yield str(unusable.value)
    yield module.refusal("hook.ko", "insmod: ERROR: could not insert module hook.ko: Invalid module format", (), None)
    with pytest.raises(UnsupportedError) as refused:
        build._compile(tmp_path / "headers", tmp_path, tmp_path / "made.ko")
    yield str(refused.value)


def test_the_page_has_the_messages_of_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that need a node are compared with the loader's source."""
    (tmp_path / "btf").mkdir()
    (tmp_path / "btf/vmlinux").write_bytes(KERNEL.raw())
    monkeypatch.setattr(module, "KERNEL_BTF", tmp_path / "btf")
    said, patterns = list(sentences(tmp_path)), messages()
    source = "".join(file.read_text() for file in Path(build.__file__).parent.glob("*.py")).replace("{MODULE}", MODULE)
    unsaid = [message for message, pattern in patterns.items() if not any(map(pattern.match, said))]

    assert [] == [sentence for sentence in said if not any(each.match(sentence) for each in patterns.values())]
    assert [] == [message for message in unsaid if not all(part.strip() in source for part in message.split("..."))]
