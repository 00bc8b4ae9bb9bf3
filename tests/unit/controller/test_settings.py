# SPDX-License-Identifier: Apache-2.0
"""The command line names each setting that has a flag, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oompolicy.controller.settings import parse


def test_flags_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the environment."""
    monkeypatch.setenv("POD_NAMESPACE", "elsewhere")
    chosen = parse(["--kubeconfig", "/k", "--namespace", "n", "--listen", "[::1]:9", "--identity", "me"])

    assert (Path("/k"), "n", ("::1", 9), "me") == (
        chosen.kubeconfig,
        chosen.namespace,
        chosen.listen,
        chosen.identity,
    )


def test_the_pod_says_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its namespace by the environment; two on one host are not the same."""
    monkeypatch.setenv("POD_NAMESPACE", "oompolicy-system")
    one, other = parse([]), parse([])

    assert ("oompolicy-system", None, ("", 8080)) == (one.namespace, one.kubeconfig, one.listen)
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "--namespace or $POD_NAMESPACE is required"), (["--listen", "8080"], "'8080' is not HOST:PORT")],
)
def test_a_wrong_command_line_is_said(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2."""
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as caught:
        parse(arguments)

    assert 2 == caught.value.code
    assert message in capsys.readouterr().err
