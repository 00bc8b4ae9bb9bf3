# SPDX-License-Identifier: Apache-2.0
"""Servers of a cluster are started, watched and ended, and each port is reserved for one server."""

import json
import socket
from pathlib import Path

import pytest

from tests.cluster import ports
from tests.cluster.errors import ServerError
from tests.cluster.kubeconfig import by_token, write_kubeconfig
from tests.cluster.ports import reserved_port
from tests.cluster.server import Server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # These ports are not used by clusters that may run beside this test.
    monkeypatch.setattr(ports, "PORTS", range(ports.PORTS.stop - 10, ports.PORTS.stop))


def shell(script: str, folder: Path) -> Server:
    return Server(["sh", "-c", script, "server"], folder / "server.log")


def test_a_server_is_started_until_it_is_ready(tmp_path: Path) -> None:
    """It has the flags of this run, and its log is in a file."""
    server = shell('echo "ready $1"; sleep 600', tmp_path)
    server.start(lambda: "ready" in server.tail(), 30.0, "--flag")
    try:
        assert (True, "ready --flag\n") == (server.running, server.tail())
    finally:
        server.kill()
    assert not server.running


def test_a_server_that_ends_during_its_start_is_an_error(tmp_path: Path) -> None:
    """The error has the end of its log."""
    server = shell("echo no such flag; exit 3", tmp_path)

    with pytest.raises(ServerError, match="server ended with status 3:\nno such flag"):
        server.start(lambda: False, 30.0)
    assert not server.running


def test_a_server_that_does_not_become_ready_is_ended(tmp_path: Path) -> None:
    """Otherwise it would keep its port and its data."""
    server = shell("sleep 600", tmp_path)

    with pytest.raises(ServerError, match="server did not become ready in time"):
        server.start(lambda: False, 0.0)
    assert not server.running


def test_a_port_is_reserved_once() -> None:
    """The reservation lasts as long as the block, even if no server listens on the port."""
    with reserved_port() as first, reserved_port() as second:
        assert first != second
    with reserved_port() as again:
        assert first == again


def test_a_port_in_use_is_not_reserved() -> None:
    """Another program may use a port without a reservation."""
    with reserved_port() as port:
        pass
    with socket.create_server(("127.0.0.1", port)), reserved_port() as other:
        assert port != other


def test_a_kubeconfig_is_complete(tmp_path: Path) -> None:
    """It names no file of this machine, and only its owner may read it."""
    ca = tmp_path / "ca.crt"
    ca.write_text("certificate")
    path = write_kubeconfig(tmp_path / "kubeconfig", "https://10.0.2.2:6443", ca, by_token("secret"))

    written = json.loads(path.read_text())
    assert {"server": "https://10.0.2.2:6443", "certificate-authority-data": "Y2VydGlmaWNhdGU="} == (
        written["clusters"][0]["cluster"]
    )
    assert ({"token": "secret"}, 0o600) == (written["users"][0]["user"], path.stat().st_mode & 0o777)
