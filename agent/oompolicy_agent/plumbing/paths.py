# SPDX-License-Identifier: Apache-2.0
"""The paths on a node by default, and the agent's user: the facts that agent and loader must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

AGENT_UID: Final = 41317
"""The default user and group of the agent, a number that no public image uses.

The kernel limits inotify instances and other resources per user, over all containers of a node, and 65532 is the user
of every distroless image. The number is outside the ranges of systemd and of user namespaces
(https://systemd.io/UIDS-GIDS).
"""

STATE_DIR: Final = Path("/var/lib/oompolicy")
"""The agent's folder that survives a reboot."""
CHECKPOINT: Final = "checkpoint.json"
"""The file in the state folder that the agent writes, and from which the loader fills the map."""

RUN_DIR: Final = Path("/run/oompolicy")
"""The folder of reports."""
LOADER_REPORT: Final = "loader.json"
"""The file in the folder of reports that the loader writes and the agent reads."""

WANTED: Final = "wanted.json"
"""The file in the folder of reports in which the agent asks the adjuster for scores."""
ADJUSTER_DIR: Final = Path("/run/oompolicy-adjuster")
"""The adjuster's own folder, which belongs to root. Its content is for one boot, as cgroups and processes are."""
ADJUSTER_REPORT: Final = "report.json"
"""The file in that folder with the state after the last look, which the agent reads."""
LOGGED_KILLS: Final = "kills.json"
"""The file in that folder with the kills in the kernel's log, which the agent reads if no program can observe."""

BPFFS: Final = Path("/sys/fs/bpf/oompolicy")
"""The folder of pins."""
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
"""The root of the cgroup v2 tree."""

KERNEL_BTF: Final = Path("/sys/kernel/btf")
"""The folder in which the kernel shows its own BTF and that of its modules."""
VMLINUX: Final = "vmlinux"
"""The file in that folder with the kernel's own BTF."""
