# SPDX-License-Identifier: Apache-2.0
"""etcd from Debian, and how it is started. Debian 12's own is too old for today's API servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.debian import DebianProgram

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.pki import Pki

ETCD = DebianProgram("etcd-server", "etcd")


def command_line(program: Path, folder: Path, pki: Pki, port: int, peer_port: int) -> list[str]:
    """Run one member that nobody else joins, and that trusts nobody but the API server's certificate."""
    url, peer = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(program),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={pki.etcd.certificate}",
        f"--key-file={pki.etcd.key}",
        f"--trusted-ca-file={pki.etcd_ca}",
        "--client-cert-auth",
        # What a killed process wrote the kernel still has; only a power cut would lose it.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
