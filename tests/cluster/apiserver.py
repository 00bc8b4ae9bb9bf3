# SPDX-License-Identifier: Apache-2.0
"""Build the command line of the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.pki import Pki


def command_line(program: Path, pki: Pki, port: int, etcd_port: int, *, egress: Path | None = None) -> list[str]:
    """Return the whole command line. `egress` configures its way to nodes, if the cluster has any."""
    place = alone() if egress is None else with_nodes(pki, egress)
    return [str(program), *serving(pki, port), *storage(pki, etcd_port), *identities(pki), *place]


def serving(pki: Pki, port: int) -> list[str]:
    """Serve on loopback only, where also requests of a guest in QEMU's user networking arrive."""
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={pki.api.certificate}",
        f"--tls-private-key-file={pki.api.key}",
    ]


def storage(pki: Pki, etcd_port: int) -> list[str]:
    """Store all objects in the etcd of this cluster."""
    return [
        f"--etcd-servers=https://127.0.0.1:{etcd_port}",
        f"--etcd-cafile={pki.etcd_ca}",
        f"--etcd-certfile={pki.etcd_client.certificate}",
        f"--etcd-keyfile={pki.etcd_client.key}",
    ]


def identities(pki: Pki) -> list[str]:
    """Authenticate and authorize users as in a cluster that kubeadm made."""
    return [
        f"--client-ca-file={pki.ca}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={pki.service_accounts.key}",
        f"--service-account-key-file={pki.service_accounts.certificate}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--service-cluster-ip-range=10.96.0.0/24",
    ]


def alone() -> list[str]:
    """Run without controllers, kubelets and the `kubernetes` service."""
    return [
        # No client uses the `kubernetes` service, and its address may not be loopback.
        "--endpoint-reconciler-type=none",
        "--advertise-address=192.0.2.1",
        # The plugin waits for each namespace's account `default`, which the controller manager would make.
        "--disable-admission-plugins=ServiceAccount",
    ]


def with_nodes(pki: Pki, egress: Path) -> list[str]:
    """Connect to nodes in QEMU's user networking, and let their pods connect to the `kubernetes` service."""
    return [
        "--advertise-address=10.0.2.2",
        f"--egress-selector-config-file={egress}",
        # No name server knows the nodes' names.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={pki.admin.certificate}",
        f"--kubelet-client-key={pki.admin.key}",
    ]
