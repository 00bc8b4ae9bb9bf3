# SPDX-License-Identifier: Apache-2.0
"""The command line sets each setting that has a flag, and errors name the flag or the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from oompolicy.controller.settings import parse


def test_flags_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--namespace` wins over `$POD_NAMESPACE`."""
    monkeypatch.setenv("POD_NAMESPACE", "elsewhere")
    chosen = parse(["--kubeconfig", "/k", "--namespace", "n", "--listen", "[::1]:9", "--identity", "me"])

    assert Path("/k") == chosen.kubeconfig
    assert "n" == chosen.namespace
    assert ("::1", 9) == chosen.listen
    assert "me" == chosen.identity


def test_the_defaults_fit_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """The namespace comes from the environment. Two operators on one host have different identities."""
    monkeypatch.setenv("POD_NAMESPACE", "oompolicy-system")
    one, other = parse([]), parse([])

    assert "oompolicy-system" == one.namespace
    assert one.kubeconfig is None
    assert ("", 8080) == one.listen
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "--namespace or $POD_NAMESPACE is required"), (["--listen", "8080"], "'8080' is not HOST:PORT")],
)
def test_a_wrong_command_line_exits_with_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is on stderr."""
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as caught:
        parse(arguments)

    assert 2 == caught.value.code
    assert message in capsys.readouterr().err
