# SPDX-License-Identifier: Apache-2.0
"""Servers of a cluster are started, watched and ended; their ports are theirs alone."""

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
    # Beyond those of the clusters that may run beside this test.
    monkeypatch.setattr(ports, "PORTS", range(ports.PORTS.stop - 10, ports.PORTS.stop))


def shell(script: str, folder: Path) -> Server:
    return Server(["sh", "-c", script, "server"], folder / "server.log")


def test_a_server_is_started_until_it_is_ready(tmp_path: Path) -> None:
    """With the flags of this run, and its log in a file."""
    server = shell('echo "ready $1"; sleep 600', tmp_path)
    server.start(lambda: "ready" in server.tail(), 30.0, "--flag")
    try:
        assert (True, "ready --flag\n") == (server.running, server.tail())
    finally:
        server.kill()
    assert not server.running


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    """Its last words say why."""
    server = shell("echo no such flag; exit 3", tmp_path)

    with pytest.raises(ServerError, match="server ended with status 3:\nno such flag"):
        server.start(lambda: False, 30.0)
    assert not server.running


def test_a_server_that_never_is_ready_is_ended(tmp_path: Path) -> None:
    """It would hold its port and its data otherwise."""
    server = shell("sleep 600", tmp_path)

    with pytest.raises(ServerError, match="server did not become ready in time"):
        server.start(lambda: False, 0.0)
    assert not server.running


def test_a_port_is_reserved_for_one() -> None:
    """For as long as the block lasts, whether or not anybody listens there."""
    with reserved_port() as first, reserved_port() as second:
        assert first != second
    with reserved_port() as again:
        assert first == again


def test_a_port_that_somebody_listens_on_is_not_taken() -> None:
    """Somebody who knows nothing of reservations."""
    with reserved_port() as port:
        pass
    with socket.create_server(("127.0.0.1", port)), reserved_port() as other:
        assert port != other


def test_a_kubeconfig_holds_all_it_needs(tmp_path: Path) -> None:
    """No path of this machine, and nobody else may read it."""
    ca = tmp_path / "ca.crt"
    ca.write_text("certificate")
    path = write_kubeconfig(tmp_path / "kubeconfig", "https://10.0.2.2:6443", ca, by_token("secret"))

    written = json.loads(path.read_text())
    assert {"server": "https://10.0.2.2:6443", "certificate-authority-data": "Y2VydGlmaWNhdGU="} == (
        written["clusters"][0]["cluster"]
    )
    assert ({"token": "secret"}, 0o600) == (written["users"][0]["user"], path.stat().st_mode & 0o777)
