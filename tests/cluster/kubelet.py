# SPDX-License-Identifier: Apache-2.0
"""A kubelet that forwards each port to one answer, for the agent of a node without any process."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from oompolicy.kube.connection import apply
from oompolicy.order.facts import plain
from tests.cluster.objects import location, namespace, pod
from tests.unit.kube.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme

    from oompolicy.order.facts import NodeFacts
    from tests.cluster.api import Api

AGENTS = "oompolicy-system"
LABELS = {"app.kubernetes.io/name": "oompolicy", "app.kubernetes.io/component": "agent"}


@contextlib.contextmanager
def answering(api: Api, authority: trustme.CA, node: str, facts: NodeFacts) -> Iterator[None]:
    """Give a node a kubelet, and an agent that answers with these facts until the block ends."""
    with serving(authority, json.dumps(plain(facts)).encode()) as port:
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        api.patch("Node", node, {"status": status}, subresource="/status")
        apply(api.connection, location("Namespace", AGENTS), namespace(AGENTS), manager="tests")
        name = f"oompolicy-agent-{node}"
        api.create(pod(AGENTS, name, node=node, labels=LABELS))
        api.patch("Pod", name, {"status": {"phase": "Running"}}, namespace=AGENTS, subresource="/status")
        yield


@contextlib.contextmanager
def serving(authority: trustme.CA, body: bytes) -> Iterator[int]:
    """Serve port-forwards with one body, and yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            # The end of the block shuts the listener down.
            with contextlib.suppress(OSError):
                while True:
                    connected, _ = listener.accept()
                    with context.wrap_socket(connected, server_side=True) as secured:
                        peer = Peer(secured)
                        peer.accept()
                        peer.received()
                        peer.send(head + body)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
