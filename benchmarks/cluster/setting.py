# SPDX-License-Identifier: Apache-2.0
"""The machine and the programs that the figures were measured with."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.binaries import Binaries
    from tests.cluster.cluster import Cluster


def describe(cluster: Cluster, binaries: Binaries) -> str:
    """Return a sentence about the machine, the date and the versions."""
    kubernetes = cluster.api.connection.request("GET", "/version")["gitVersion"].removeprefix("v")
    etcd = subprocess.run([str(binaries.etcd), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"etcd Version: (\S+)", etcd)
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    # The part behind the number is a name that the builder of the kernel chose.
    linux = re.match(r"[\d.]+", platform.release())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (
        f"{datetime.datetime.now(datetime.UTC).date().isoformat()}, {model[1] if model else 'unknown processor'}, "
        f"{os.cpu_count()} cores, {memory} GiB, Linux {linux[0] if linux else 'unknown'}, kube-apiserver {kubernetes}, "
        f"etcd {number[1] if number else 'unknown'}, Python {platform.python_version()}."
    )
