# SPDX-License-Identifier: Apache-2.0
"""Make the certificates of a cluster: one authority for the API server and its clients, one for etcd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

# A guest in QEMU's user networking reaches this machine by 10.0.2.2, and its pods the Service by 10.96.0.1.
API_NAMES = ["127.0.0.1", "localhost", "10.0.2.2", "10.96.0.1"]


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Pki:
    """All files by their purpose."""

    authority: trustme.CA
    ca: Path
    api: Pair
    admin: Pair
    service_accounts: Pair
    etcd_ca: Path
    etcd: Pair
    etcd_client: Pair


def make_pki(folder: Path) -> Pki:
    """Write all files into a folder that does not exist yet."""
    folder.mkdir(mode=0o700)
    ca, etcd_ca = trustme.CA(), trustme.CA()
    return Pki(
        authority=ca,
        ca=write_authority(folder / "ca.crt", ca),
        api=write_pair(folder, "api", ca.issue_cert(*API_NAMES, common_name="kube-apiserver")),
        # RBAC lets this group do everything.
        admin=write_pair(folder, "admin", client_cert(ca, "admin", "system:masters")),
        # The key signs tokens, and the API server reads the public key from the certificate.
        service_accounts=write_pair(folder, "service-accounts", client_cert(ca, "service-accounts")),
        etcd_ca=write_authority(folder / "etcd-ca.crt", etcd_ca),
        etcd=write_pair(folder, "etcd", etcd_ca.issue_cert("127.0.0.1", common_name="etcd")),
        etcd_client=write_pair(folder, "etcd-client", client_cert(etcd_ca, "kube-apiserver")),
    )


def client_cert(authority: trustme.CA, user: str, group: str | None = None) -> trustme.LeafCert:
    """Issue a certificate that names a user by CN and a group by O."""
    # Without any host, trustme writes an empty list of hosts, marked critical, which Go refuses.
    return authority.issue_cert("client.invalid", common_name=user, organization_name=group)


def write_authority(path: Path, authority: trustme.CA) -> Path:
    """Write the certificate of an authority."""
    authority.cert_pem.write_to_path(str(path))
    return path


def write_pair(folder: Path, name: str, leaf: trustme.LeafCert) -> Pair:
    """Write a certificate and its key."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    leaf.cert_chain_pems[0].write_to_path(str(pair.certificate))
    leaf.private_key_pem.write_to_path(str(pair.key))
    return pair
