# SPDX-License-Identifier: Apache-2.0
"""The rest of the control plane next to the API server on this machine: controllers and scheduler."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Final

import urllib3

from tests.cluster.cluster import DEADLINE_SECONDS, answers
from tests.cluster.ports import reserved_port
from tests.cluster.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.cluster import Cluster

POD_NETWORK: Final = "10.244.0.0/16"


def controller_manager(program: Path, cluster: Cluster, port: int) -> list[str]:
    """Return the command for all controllers of Kubernetes, each with its own account, as kubeadm sets them up."""
    return [
        *served(program, cluster, port),
        f"--root-ca-file={cluster.ca}",
        f"--service-account-private-key-file={cluster.pki.service_accounts.key}",
        "--use-service-account-credentials",
        "--allocate-node-cidrs",
        f"--cluster-cidr={POD_NETWORK}",
    ]


def served(program: Path, cluster: Cluster, port: int) -> list[str]:
    """Return the common options of scheduler and controllers. There is one of each, so none has to lead."""
    return [
        str(program),
        f"--kubeconfig={cluster.admin}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={cluster.folder / program.name}",
    ]


@contextlib.contextmanager
def running_control_plane(cluster: Cluster, programs: Path) -> Iterator[None]:
    """Run both programs during the block. They are healthy when it begins."""
    # The programs have just made their own certificates.
    http = urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False, retries=False)
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    makers = {"kube-controller-manager": controller_manager, "kube-scheduler": served}
    with contextlib.ExitStack() as stack:
        for name, argv in makers.items():
            port = stack.enter_context(reserved_port())
            server = Server(argv(programs / name, cluster, port), cluster.folder / f"{name}.log")
            stack.callback(server.kill)
            url = f"https://127.0.0.1:{port}/healthz"
            server.start(functools.partial(answers, http, url), DEADLINE_SECONDS)
        yield
