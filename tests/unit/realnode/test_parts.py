# SPDX-License-Identifier: Apache-2.0
"""These are the parts of a real node, checked without starting one."""

from __future__ import annotations

import io
import json
import socket
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.cluster.errors import BinariesError
from tests.cluster.kubernetes import COMMANDS, kubernetes
from tests.realnode import tunnel
from tests.realnode.containerd import SOURCES, containerd, version
from tests.realnode.disk import OF_KUBERNETES
from tests.realnode.dockerarchive import write_image
from tests.realnode.settings import files

if TYPE_CHECKING:
    from pathlib import Path


def test_containerd_has_its_version() -> None:
    """A kubelet reads the version, which would be `unknown` without the build's flag."""
    found = version((SOURCES / "go.mod").read_text())

    assert f"-X github.com/containerd/containerd/v2/version.Version={found}" in " ".join(containerd().arguments)
    with pytest.raises(BinariesError, match="requires no"):
        version("module x\n")


def test_a_nodes_programs_are_built_with_the_clusters() -> None:
    assert set(OF_KUBERNETES) < set(COMMANDS)
    assert kubernetes().key != containerd().key


def test_an_image_has_one_program_and_starts_it(tmp_path: Path) -> None:
    """The archive has the format of `docker save`."""
    write_image(tmp_path / "pause.tar", "pause:1", b"#!")
    with tarfile.open(tmp_path / "pause.tar") as outer:
        content = {name: outer.extractfile(name) for name in outer.getnames()}
        read = {name: file.read() for name, file in content.items() if file}
    (manifest,) = json.loads(read["manifest.json"])
    config = json.loads(read[manifest["Config"]])
    with tarfile.open(fileobj=io.BytesIO(read[manifest["Layers"][0]])) as layer:
        (member,) = layer.getmembers()

    assert ["pause:1"] == manifest["RepoTags"]
    assert ["/program"] == config["config"]["Entrypoint"]
    assert ("program", 0o755, 2) == (member.name, member.mode, member.size)


def test_a_nodes_files_refer_to_each_other_by_their_paths() -> None:
    """A file that names another one has the path at which that one is written."""
    found = files({"kubelet": "a", "kube-proxy": "b"}, "c", "pause:1")

    for name in ("/etc/kubernetes/ca.crt", "/etc/kubernetes/kube-proxy.kubeconfig"):
        assert name in found
        assert any(name in text for text in found.values())
    assert 'sandbox = "pause:1"' in found["/etc/containerd/config.toml"]


@pytest.fixture
def tunnel_end(tmp_path: Path) -> socket.socket:
    """Return a connection to the API server's socket, which is relayed to a guest's end on this machine."""
    near, far = tmp_path / "egress.sock", tunnel.listen_in_guest("127.0.0.1", 0)
    tunnel.listen_for_api(near, far.getsockname()[1])
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(str(near))
    caller.settimeout(10)
    return caller


def test_an_api_server_reaches_a_pod_through_the_guest(tunnel_end: socket.socket) -> None:
    """All bytes after the answer are the pod's, in both directions, and the end of the connection is passed on."""
    with socket.create_server(("127.0.0.1", 0)) as pod, tunnel_end:
        tunnel_end.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: pod\r\n\r\nhello" % pod.getsockname()[1])
        called, _ = pod.accept()
        with called:
            assert b"hello" == called.recv(5)
            called.sendall(b"pod")
        answer = b"".join(iter(lambda: tunnel_end.recv(100), b""))

    assert b"HTTP/1.1 200 OK\r\n\r\npod" == answer


def test_a_missing_pod_ends_the_connection(tunnel_end: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone, tunnel_end:
        port = gone.getsockname()[1]
        gone.close()
        tunnel_end.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port)

        assert b"" == tunnel_end.recv(100)
