# SPDX-License-Identifier: Apache-2.0
"""Fetch etcd from Debian, and build its command line. Debian 12's own is too old for current API servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.debian import DebianProgram

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.pki import Pki

ETCD = DebianProgram("etcd-server", "etcd")


def command_line(program: Path, folder: Path, pki: Pki, port: int, peer_port: int) -> list[str]:
    """Return the command line of a single member that trusts only the API server's certificate."""
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
        # The kernel still has the data that a killed process wrote. Only a power cut would lose it.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
