# SPDX-License-Identifier: Apache-2.0
"""Make the status of the node from a view of it, write it to status.json, and publish it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oompolicy_agent.status import document
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.document import View
    from oompolicy_agent.status.problems import Problems


class StatusFile:
    """The file status.json. `view` has the facts of the last write, and is replaced and never changed."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        problems: Problems,
        view: Callable[[], View],
        publish: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """Take a view without writing it. `view` returns the view of now.

        `publish` gets each status, also if the file cannot be written.
        """
        self._path, self._delay, self._loop = settings.run_dir / "status.json", settings.status_delay, loop
        self._problems, self._current, self._publish = problems, view, publish
        self._status: Mapping[str, Any] = {}
        self.view = view()

    def write_later(self) -> None:
        """Write soon, together with the changes until then."""
        self._loop.after(self._delay, "status", self.write)

    def write(self) -> None:
        """Write and publish the present status."""
        self.view = self._current()
        self._status = document.build(self.view, self._status, datetime.now(UTC))
        self._publish(self._status)
        try:
            document.write(self._path, self._status)
        except OSError as error:
            self._problems.set(Reason.STATUS_NOT_WRITTEN, f"the status cannot be written: {error}")
            return
        self._problems.set(Reason.STATUS_NOT_WRITTEN)
