# SPDX-License-Identifier: Apache-2.0
"""Rows of `preflight` that inform, and the row of a fact that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.preflight.check import Verdict
from oompolicy_agent.loader.preflight.checks import checks, number
from oompolicy_agent.loader.preflight.facts import Unknown
from tests.unit.agent.loader.preflight.scene import UNSIGNED, facts, line, row


def test_a_good_node_has_no_objection() -> None:
    found = [each for each in checks(facts()) if each.verdict not in {Verdict.OK, Verdict.NOTE}]

    assert [] == found


def test_every_row_has_a_name_of_its_own() -> None:
    names = [each.name for each in checks(facts(offered=UNSIGNED, load=False, adjuster=False))]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("Secure Boot", {"secure_boot": True}, "see lockdown"),
        ("PSI", {"psi": False}, "by its clock only"),
        ("vm.panic_on_oom", {"sysctls": {"vm.panic_on_oom": "1"}}, "the kernel panics"),
        ("swap", {"swap_mib": 512}, "only after the swap is full"),
        ("compiler", {"compiler": "clang"}, "was never tried"),
        ("hook", {"kernel_version": "5.14.0-570.12.1.el9_6.x86_64"}, "was never tried before Linux 6.3"),
    ],
)
def test_a_note_says_what_to_know_and_changes_no_answer(name: str, changes: dict[str, Any], words: str) -> None:
    _, verdict, consequence = row(name, **changes)

    assert "note" == verdict
    assert words in consequence
    assert line() == line(**changes)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("lockdown", "lockdown"),
        ("Secure Boot", "secure_boot"),
        ("module BTF", "module_btf"),
        ("ftrace", "redirected"),
    ],
)
def test_a_fact_that_cannot_be_read_is_unknown_with_the_reason(name: str, field: str) -> None:
    assert ("unknown", "unknown", "it is hidden") == row(name, **{field: Unknown("it is hidden")})


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN, CAP_SYS_MODULE"),
        ({"hook": Hook.MODULE}, "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN"),
        ({"hook": Hook.KERNEL}, "CAP_BPF, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_PERFMON"),
        ({"load": False}, "CAP_BPF, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_PERFMON"),
    ],
)
def test_capabilities_of_attach_that_are_missing_are_listed(changes: dict[str, Any], missing: str) -> None:
    expected = ("none", "note", f"preflight needs none; attach also needs {missing}")

    assert expected == row("capabilities", **changes)


def test_a_process_with_all_capabilities_of_attach_lacks_none() -> None:
    held = frozenset({"CHOWN", "DAC_OVERRIDE", "SYS_ADMIN", "SYS_MODULE"})

    assert ("CHOWN, DAC_OVERRIDE, SYS_ADMIN, SYS_MODULE", "ok", "") == row("capabilities", capabilities=held)


@pytest.mark.parametrize(
    ("release", "numbers"),
    [("6.12.107+deb13-cloud-amd64", (6, 12)), ("5.10.0-30-amd64", (5, 10)), ("7.3-rc1", (7, 3)), ("odd", ())],
)
def test_the_version_of_a_kernel_is_its_first_two_numbers(release: str, numbers: tuple[int, ...]) -> None:
    assert numbers == number(release)


@pytest.mark.parametrize(
    "changes",
    [{"btf": False}, {"bpffs": False}, {"kernel_version": "5.10.0-30-amd64"}, {"lockdown": "confidentiality"}],
)
def test_a_node_where_no_program_reports_victims_says_where_they_come_from(changes: dict[str, Any]) -> None:
    """Before Linux 5.19 a program is attached, and the agent may not read its records."""
    found, verdict, consequence = row("kernel log", **changes)

    assert ("not read", "no") == (found, verdict)
    assert consequence.endswith("this node reports no victim: set kernelLog.enabled")
    assert ("read", "note") == row("kernel log", **changes, kernel_log=True)[:2]
    assert ("without times", "no") == row("kernel log", **changes, kernel_log=True, log_times=False)[:2]


@pytest.mark.parametrize(
    "changes",
    [{}, {"kernel_version": "5.10.0-30-amd64", "unprivileged_bpf": "0"}, {"kernel_version": "5.19.0-1-amd64"}],
)
def test_a_node_whose_programs_report_victims_has_no_row_about_the_log(changes: dict[str, Any]) -> None:
    names = [each.name for each in checks(facts(**changes, kernel_log=True))]

    assert not {"BPF maps", "kernel log"} & set(names)


def test_maps_that_the_agent_may_not_open_are_a_note() -> None:
    """The order of victims does not depend on them."""
    changes = {"kernel_version": "5.10.0-30-amd64"}

    assert ("closed", "note") == row("BPF maps", **changes)[:2]
    assert "kernel.unprivileged_bpf_disabled=2" in row("BPF maps", **changes)[2]
