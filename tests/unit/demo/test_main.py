# SPDX-License-Identifier: Apache-2.0
"""The demo starts itself again as root, and its exit status shows whether the guest succeeded."""

import sys

import pytest

from demo.node import __main__ as demo
from demo.node.sudo import KEPT, as_root
from vmtest.errors import HarnessError, LostVMError


def test_sudo_keeps_the_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEPT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/big disk")

    expected = ["sudo", "env", "PYTHONDONTWRITEBYTECODE=1", "XDG_CACHE_HOME=/big disk", sys.executable]
    assert [*expected, "-m", "demo.node", "--colour"] == as_root("demo.node", "--colour")


@pytest.mark.parametrize(
    ("end", "expected"), [(0, 0), (1, 1), (126, 1), (LostVMError("hung", ""), 1), (HarnessError("no git"), 1)]
)
def test_only_a_successful_guest_is_a_success(
    end: int | HarnessError, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(*_: object) -> int:
        if isinstance(end, HarnessError):
            raise end
        return end

    monkeypatch.setattr(demo, "play", play)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert expected == demo.main([])


def test_without_root_and_sudo_it_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "")

    assert demo.main([]) == 1
    assert capsys.readouterr().err.startswith("demo: not root, and there is no sudo")
