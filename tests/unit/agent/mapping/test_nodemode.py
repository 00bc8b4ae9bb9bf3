# SPDX-License-Identifier: Apache-2.0
"""The programs have the mode that the cluster wants, and the node says so if they cannot."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest

from oompolicy.oomsettings import Mode, ProgramSettings, TieBreak
from oompolicy_agent.kernel.layout import KernelMode
from oompolicy_agent.mapping.nodemode import NodeMode
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason


@dataclass
class FakeSetting:
    """A fake of `maps.SettingsMap`."""

    number: int = KernelMode.ENFORCE
    has_modes: bool = True
    error: OSError | None = None
    fields: dict[str, int] = field(default_factory=dict)
    host: int = 900

    def mode(self) -> int:
        return self.number

    def host_priority(self) -> int:
        return self.host

    def change(self, **fields: int) -> bool:
        if self.error:
            raise self.error
        before = self.number, self.host
        self.number, self.host, self.fields = fields["mode"], fields["host_priority"], fields
        return before != (self.number, self.host)


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.mark.parametrize("mode", Mode)
def test_the_wanted_mode_is_set(problems: Problems, mode: Mode) -> None:
    """The names of the modes are the same on both sides."""
    setting, node = FakeSetting(number=9), NodeMode(problems)

    assert node.apply(setting, ProgramSettings(mode))
    assert KernelMode[mode.name] == setting.number
    assert mode is node.current
    assert not node.apply(setting, ProgramSettings(mode))


def test_the_other_settings_are_set_with_the_mode(problems: Problems) -> None:
    setting = FakeSetting()
    NodeMode(problems).apply(setting, ProgramSettings(Mode.ENFORCE, TieBreak.MOST_OVER_REQUEST, 64 << 20, 700))

    assert {"mode": 2, "tie_break": 1, "minimum_victim_memory": 64 << 20, "host_priority": 700} == setting.fields


def test_a_change_of_the_hosts_priority_alone_is_a_change(problems: Problems) -> None:
    """The checkpoint has it too, so it has to be saved."""
    setting, node = FakeSetting(), NodeMode(problems)
    node.apply(setting, ProgramSettings(Mode.ENFORCE))

    assert node.apply(setting, ProgramSettings(Mode.ENFORCE, host_priority=700))
    assert 700 == node.host_priority == setting.host


def test_without_programs_the_wanted_settings_apply(problems: Problems) -> None:
    """A node with scores has no map for them."""
    node = NodeMode(problems)

    assert node.apply_without_programs(ProgramSettings(Mode.AUDIT, host_priority=0))
    assert (Mode.AUDIT, 0) == (node.current, node.host_priority)
    assert not node.apply_without_programs(None)
    assert (Mode.AUDIT, 0) == (node.current, node.host_priority)


def test_without_a_wanted_mode_the_programs_keep_theirs(problems: Problems) -> None:
    """This is the mode that the loader began with."""
    setting, node = FakeSetting(number=KernelMode.AUDIT), NodeMode(problems)

    assert node.apply(setting, None)
    assert (KernelMode.AUDIT, 900) == (setting.number, setting.host)
    assert (Mode.AUDIT, 900) == (node.current, node.host_priority)


def test_an_unknown_mode_of_the_programs_is_off(problems: Problems) -> None:
    """The program treats it the same way."""
    node = NodeMode(problems)
    node.apply(FakeSetting(number=7), None)

    assert Mode.OFF is node.current


def test_without_pins_the_last_mode_is_remembered(problems: Problems) -> None:
    node = NodeMode(problems)
    node.current = Mode.AUDIT

    assert not node.apply(None, ProgramSettings(Mode.ENFORCE))
    assert Mode.AUDIT is node.current


def test_programs_before_modes_enforce_and_the_node_reports_it(problems: Problems) -> None:
    """The loader could not replace them. Only another mode than Enforce is a problem."""
    setting, node = FakeSetting(has_modes=False), NodeMode(problems)
    node.apply(setting, ProgramSettings(Mode.AUDIT))

    assert Mode.ENFORCE is node.current
    (sentence,) = problems.current[Reason.MODE_NOT_SET]
    assert "the settings of OOMSettings are not applied" in sentence
    node.apply(setting, ProgramSettings(Mode.ENFORCE))
    assert {} == problems.current


def test_a_mode_that_cannot_be_set_is_a_problem_until_it_is_set(problems: Problems) -> None:
    setting, node = FakeSetting(error=OSError(errno.EPERM, "Operation not permitted", "/pin")), NodeMode(problems)
    node.apply(setting, ProgramSettings(Mode.OFF))

    (sentence,) = problems.current[Reason.MODE_NOT_SET]
    assert "the mode Off cannot be set: [Errno 1] Operation not permitted: '/pin'" == sentence
    setting.error = None
    node.apply(setting, ProgramSettings(Mode.OFF))
    assert {} == problems.current
    assert KernelMode.OFF == setting.number
