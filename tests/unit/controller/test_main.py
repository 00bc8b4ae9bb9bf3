# SPDX-License-Identifier: Apache-2.0
"""An operator that cannot start logs the reason in a sentence, without a traceback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from oompolicy.controller.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_missing_kubeconfig_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exit status is 1, and the log names the file."""
    assert 1 == main(["--namespace", "n", "--kubeconfig", str(tmp_path / "none")])
    assert f"cannot start: the kubeconfig {tmp_path}/none does not exist" in caplog.text


def test_an_address_in_use_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exit status is 1, before the first request for the Lease."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        assert 1 == main(["--namespace", "n", "--kubeconfig", str(kubeconfig), "--listen", address])
    assert "cannot start: [Errno 98] Address already in use" in caplog.text
