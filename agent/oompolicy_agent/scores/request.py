# SPDX-License-Identifier: Apache-2.0
"""Build the agent's request to the adjuster, and write it whenever it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.oomsettings import Mode
from oompolicy_agent.adjuster import wanted
from oompolicy_agent.adjuster.wanted import Wanted
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.kernel.attachment import Attachment
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.status.problems import Problems


def asks(attachment: Attachment) -> bool:
    """Return True if the node needs scores, because the kernel calls no hook: only observed, or nothing attached."""
    return bool(attachment.problem) or attachment.backend == Backend.OBSERVE_ONLY


def request_of(
    *,
    asked: bool,
    mode: Mode,
    host_priority: int,
    entries: Mapping[int, Value] | None,
    kill_groups: Mapping[int, bool],
    kernel_log: bool,
) -> Wanted | None:
    """Return the request, or None if an earlier one has to stay until pods and policies are known.

    If no scores are asked for, the adjuster restores all scores. Kill groups apply on every backend, and in the mode
    Enforce alone. `kernel_log` is True if the victims have to come from the kernel's log.
    """
    groups = kill_groups if mode is Mode.ENFORCE else {}
    if not asked:
        return Wanted("Off", host_priority, {}, groups, kernel_log)
    if entries is None:
        return None
    priorities = {cgroup: entry.priority for cgroup, entry in entries.items()}
    return Wanted(mode.value, host_priority, priorities, groups, kernel_log)


class RequestFile:
    """The file wanted.json. `current` is the last request that was written, or None before the first.

    `earlier_kill_groups` are those in the file of an earlier agent. They stay until pods and policies are known, so
    that a restart of the agent restores nothing.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        self.current: Wanted | None = None
        self.earlier_kill_groups = _kill_groups_in(path)
        self._path, self._problems = path, problems

    def write(self, request: Wanted, *, again: bool = False) -> None:
        """Write a request that differs from the last one, and with `again` any request. A failure is a problem."""
        if request == self.current and not again:
            return
        try:
            wanted.write(self._path, request)
        except OSError as error:
            sentence = f"the request to the adjuster cannot be written, so its last one stays in force: {error}"
            self._problems.set(Reason.REQUEST_NOT_WRITTEN, sentence)
            return
        self.current = request
        self._problems.set(Reason.REQUEST_NOT_WRITTEN)


def _kill_groups_in(path: Path) -> Mapping[int, bool]:
    try:
        return wanted.parse(path.read_bytes()).kill_groups
    except (OSError, ValueError, RecursionError):
        return {}
