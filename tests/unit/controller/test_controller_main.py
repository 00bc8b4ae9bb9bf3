# SPDX-License-Identifier: Apache-2.0
"""An operator that cannot start says why, in a sentence and without a traceback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from oompolicy.controller.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_missing_kubeconfig_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With status 1."""
    assert 1 == main(["--namespace", "n", "--kubeconfig", str(tmp_path / "none")])
    assert f"cannot start: there is no kubeconfig {tmp_path}/none" in caplog.text


def test_a_taken_address_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Before the Lease is asked for."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        assert 1 == main(["--namespace", "n", "--kubeconfig", str(kubeconfig), "--listen", address])
    assert "cannot start: [Errno 98] Address already in use" in caplog.text
