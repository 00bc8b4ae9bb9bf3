# SPDX-License-Identifier: Apache-2.0
"""Keep the checkpoint: read it at the start, and write it after a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oompolicy_agent.objects import checkpoint
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from oompolicy_agent.environment import Environment
    from oompolicy_agent.mapping.circuit import Circuit
    from oompolicy_agent.mapping.nodemode import NodeMode
    from oompolicy_agent.mapping.owners import CgroupOwners
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.victims.spool import Spool


@dataclass(slots=True, kw_only=True)
class CheckpointKeeper:
    """The keeper of the checkpoint. `unsaved` is true while the file is older than the state."""

    settings: Settings
    loop: Loop
    problems: Problems
    boot_id: str
    outside: Environment
    spool: Spool
    index: CgroupOwners
    mode: NodeMode
    circuit: Circuit
    unsaved: bool = True

    def restore(self) -> None:
        """Restore the state of an earlier agent. Cgroup ids are restored only within the same boot."""
        saved = checkpoint.load(self.settings.checkpoint)
        if saved is None:
            return
        self.outside.source.restore(saved)
        self.spool.remember(saved.reported)
        self.outside.restore_reported(saved.refusals)
        if saved.boot_id == self.boot_id:
            self.index.restore(saved.index, self.loop.clock())
            self.circuit.restore(saved.circuit, saved.kills)
        self.mode.restore(saved.mode, saved.host_priority, circuit_open=self.circuit.opening is not None)

    def save_later(self) -> None:
        """Save soon, together with the changes until then."""
        self.unsaved = True
        self.loop.after(self.settings.checkpoint_delay, "checkpoint", self.save)

    def save(self) -> None:
        """Save now, unless no good state exists yet."""
        known = self.outside.source.known
        if known is None:
            return
        try:
            checkpoint.save(
                self.settings.checkpoint,
                self.boot_id,
                known.objects_json,
                self.index.dump(),
                reported=self.spool.reported,
                refusals=self.outside.reported_refusals,
                mode=self.mode.saved,
                host_priority=self.mode.host_priority,
                defaults=self.outside.source.defaults,
                circuit=self.circuit.opening,
                kills=self.circuit.kills,
            )
        except OSError as error:
            self.problems.set(Reason.CHECKPOINT_NOT_WRITTEN, f"the checkpoint cannot be written: {error}")
            self.unsaved = True
            return
        self.unsaved = False
        self.problems.set(Reason.CHECKPOINT_NOT_WRITTEN)
