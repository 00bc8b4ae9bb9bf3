# SPDX-License-Identifier: Apache-2.0
"""Take the kills that the adjuster found in the kernel's log, each once, also across restarts of both programs."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from oompolicy_agent.kernellog import handover
from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

log = logging.getLogger(__name__)


class KillFile:
    """The adjuster's file, and the number of the last kill that was taken from it.

    An adjuster may begin anew with the number one. So the number counts only together with the begin of its numbering.
    `found` is the number of kills in this boot, and `lost` the number of those that cannot be reported: the log had no
    line of them any more, or they had left the file before they were taken.
    """

    def __init__(self, path: Path, taken: Path, boot_id: str) -> None:
        """`taken` is the file that keeps the number."""
        self.found = self.lost = 0
        self._path, self._taken_path, self._boot_id = path, taken, boot_id
        self._taken, self._missed, self._begin = _read_taken(taken, boot_id)
        self._read: tuple[int, int] | None = None

    def new(self) -> tuple[Mapping[str, Any], ...]:
        """Return the kills since the last one that was taken, or nothing if the file did not change."""
        try:
            status = self._path.stat()
            if (status.st_ino, status.st_mtime_ns) == self._read:
                return ()
            content = handover.read(self._path)
        except (OSError, ValueError, RecursionError):
            return ()
        if content.boot_id != self._boot_id:
            return ()
        self._read = status.st_ino, status.st_mtime_ns
        # An adjuster of an earlier release gives no begin, and then only a smaller number shows that it began anew.
        if self._begin not in (None, content.begin_ns) or content.last < self._taken:
            self._taken = 0
        self._begin = content.begin_ns
        kills = tuple(each for each in content.kills if each["number"] > self._taken)
        first = kills[0]["number"] if kills else content.last + 1
        self._missed += first - self._taken - 1
        self.lost = content.lost + self._missed
        self.found = content.last + content.lost
        return kills

    def took(self, number: int) -> None:
        """Take note that all kills up to this number are in the agent's own spool."""
        self._taken = number
        document = {
            "version": 1,
            "bootId": self._boot_id,
            "taken": number,
            "missed": self._missed,
            "beginNs": self._begin,
        }
        try:
            write_atomic(self._taken_path, json.dumps(document).encode() + b"\n")
        except OSError as error:
            # After a crash the kills are taken again. Those that wait are recognized.
            log.warning("the number of the last kill cannot be written: %s", error)


def _read_taken(path: Path, boot_id: str) -> tuple[int, int, int | None]:
    """Return the number, the kills that were missed, and the begin of the numbering. None: an earlier release wrote it.

    The number is then one of the file that is there.
    """
    try:
        match raw := json.loads(path.read_bytes()):
            case {"version": 1, "bootId": str(boot), "taken": int(taken), "missed": int(missed)} if boot == boot_id:
                begin = raw.get("beginNs")
                return taken, missed, begin if isinstance(begin, int) else None
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s is not used: %s", path, error)
    return 0, 0, None
