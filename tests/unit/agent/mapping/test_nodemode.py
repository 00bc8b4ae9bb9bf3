# SPDX-License-Identifier: Apache-2.0
"""The programs have the mode that the cluster wants, and the node says so if they cannot."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest

from oompolicy.oomsettings import Mode
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

    def mode(self) -> int:
        return self.number

    def set_mode(self, mode: KernelMode) -> bool:
        if self.error:
            raise self.error
        before, self.number = self.number, mode
        return before != mode


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.mark.parametrize("mode", Mode)
def test_the_wanted_mode_is_set(problems: Problems, mode: Mode) -> None:
    """The names of the modes are the same on both sides."""
    setting, node = FakeSetting(number=9), NodeMode(problems)

    assert node.apply(setting, mode)
    assert KernelMode[mode.name] == setting.number
    assert mode is node.current
    assert not node.apply(setting, mode)


def test_without_a_wanted_mode_the_programs_keep_theirs(problems: Problems) -> None:
    """This is the mode that the loader began with."""
    setting, node = FakeSetting(number=KernelMode.AUDIT), NodeMode(problems)

    assert node.apply(setting, None)
    assert KernelMode.AUDIT == setting.number
    assert Mode.AUDIT is node.current


def test_an_unknown_mode_of_the_programs_is_off(problems: Problems) -> None:
    """The program treats it the same way."""
    node = NodeMode(problems)
    node.apply(FakeSetting(number=7), None)

    assert Mode.OFF is node.current


def test_without_pins_the_last_mode_is_remembered(problems: Problems) -> None:
    node = NodeMode(problems)
    node.current = Mode.AUDIT

    assert not node.apply(None, Mode.ENFORCE)
    assert Mode.AUDIT is node.current


def test_programs_before_modes_enforce_and_the_node_reports_it(problems: Problems) -> None:
    """The loader could not replace them. Only another mode than Enforce is a problem."""
    setting, node = FakeSetting(has_modes=False), NodeMode(problems)
    node.apply(setting, Mode.AUDIT)

    assert Mode.ENFORCE is node.current
    (sentence,) = problems.current[Reason.MODE_NOT_SET]
    assert "the mode Audit is not applied" in sentence
    node.apply(setting, Mode.ENFORCE)
    assert {} == problems.current


def test_a_mode_that_cannot_be_set_is_a_problem_until_it_is_set(problems: Problems) -> None:
    setting, node = FakeSetting(error=OSError(errno.EPERM, "Operation not permitted", "/pin")), NodeMode(problems)
    node.apply(setting, Mode.OFF)

    (sentence,) = problems.current[Reason.MODE_NOT_SET]
    assert "the mode Off cannot be set: [Errno 1] Operation not permitted: '/pin'" == sentence
    setting.error = None
    node.apply(setting, Mode.OFF)
    assert {} == problems.current
    assert KernelMode.OFF == setting.number
