# SPDX-License-Identifier: Apache-2.0
"""What a real node is made of, without making it."""

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


def test_containerd_says_which_it_is() -> None:
    """A kubelet asks for it; without, it would be `unknown`."""
    found = version((SOURCES / "go.mod").read_text())

    assert f"-X github.com/containerd/containerd/v2/version.Version={found}" in " ".join(containerd().arguments)
    with pytest.raises(BinariesError, match="requires no"):
        version("module x\n")


def test_a_nodes_programs_are_built_with_the_clusters() -> None:
    assert set(OF_KUBERNETES) < set(COMMANDS)
    assert kubernetes().key != containerd().key


def test_an_image_has_one_program_and_starts_it(tmp_path: Path) -> None:
    """As `docker save` writes it."""
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


def test_a_nodes_files_are_read_where_they_are_written() -> None:
    """Each names others by their path."""
    found = files({"kubelet": "a", "kube-proxy": "b"}, "c", "pause:1")

    for name in ("/etc/kubernetes/ca.crt", "/etc/kubernetes/kube-proxy.kubeconfig"):
        assert name in found
        assert any(name in text for text in found.values())
    assert 'sandbox = "pause:1"' in found["/etc/containerd/config.toml"]


@pytest.fixture
def way(tmp_path: Path) -> socket.socket:
    """A connection to the socket that the API server would ask, relayed to a guest's end on this machine."""
    near, far = tmp_path / "egress.sock", tunnel.listen_in_guest("127.0.0.1", 0)
    tunnel.listen_for_api(near, far.getsockname()[1])
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(str(near))
    caller.settimeout(10)
    return caller


def test_an_api_server_reaches_a_pod_through_the_guest(way: socket.socket) -> None:
    """What comes after the answer is the pod's, in both directions, and the end is passed on."""
    with socket.create_server(("127.0.0.1", 0)) as pod, way:
        way.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: pod\r\n\r\nhello" % pod.getsockname()[1])
        called, _ = pod.accept()
        with called:
            assert b"hello" == called.recv(5)
            called.sendall(b"pod")
        answer = b"".join(iter(lambda: way.recv(100), b""))

    assert b"HTTP/1.1 200 OK\r\n\r\npod" == answer


def test_a_pod_that_is_not_there_is_a_connection_that_ends(way: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone, way:
        port = gone.getsockname()[1]
        gone.close()
        way.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port)

        assert b"" == way.recv(100)
