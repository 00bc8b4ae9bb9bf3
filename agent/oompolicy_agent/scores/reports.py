# SPDX-License-Identifier: Apache-2.0
"""Read the adjuster's reports, and remember some of them: a victim died after one look and before the next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from oompolicy_agent.adjuster import report

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.adjuster.report import Report

FRESH_NS: Final = 60_000_000_000
"""The age of a look at which the adjuster counts as silent. A look is due every 20 s."""
_REMEMBERED: Final = 16


class Reports:
    """The reports of this boot. `problem` is a sentence while there is none to read, or an empty string."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self.problem = "it has not been read yet"
        self._path, self._boot_id = path, boot_id
        self._known: deque[Report] = deque(maxlen=_REMEMBERED)

    @property
    def last(self) -> Report | None:
        """The last report, or None while none of this boot can be read."""
        return self._known[-1] if self._known and not self.problem else None

    def read(self) -> None:
        """Read the file. The report of another boot is a problem."""
        try:
            found = report.read(self._path)
        except FileNotFoundError:
            self.problem = f"there is no {self._path}"
        except (OSError, ValueError, RecursionError) as error:
            self.problem = f"{self._path} cannot be read: {error}"
        else:
            self.problem = "" if found.boot_id == self._boot_id else f"{self._path} is of another boot"
            if not self.problem and (not self._known or found != self._known[-1]):
                self._known.append(found)

    def before(self, boot_time_ns: int) -> Report | None:
        """Return the last report whose look was before this time of the boot clock and fresh then, or None."""
        for each in reversed(self._known):
            if 0 < each.boot_time_ns <= boot_time_ns:
                return each if boot_time_ns - each.boot_time_ns <= FRESH_NS else None
        return None
