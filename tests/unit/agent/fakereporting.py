# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of the reporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.owners import CgroupOwners, OwnerFinder
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.victims.filesink import FileSink
from oompolicy_agent.victims.logged import located
from oompolicy_agent.victims.reporter import Reporter
from oompolicy_agent.victims.spool import Spool
from tests.unit.agent.fakes import APP, BOOT, SYSTEMD, ids_along, make, record, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from oompolicy.model import Pod
    from oompolicy_agent.mapping.cgroups import Tree
    from oompolicy_agent.victims.record import Victim
    from oompolicy_agent.victims.verdict import Verdict


CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"


class Node:
    """A reporter with a fake tree, and an output that can be made to fail."""

    def __init__(self, folder: Path, boot_id: str = BOOT) -> None:
        self.root, self.boot_id = folder / "cgroup", boot_id
        make(self.root, f"{CONTAINER}/nested", "system.slice")
        self.written: list[Mapping[str, Any]] = []
        self.error: OSError | None = None
        self.index = CgroupOwners()
        self.spool = Spool(folder / "spool", boot_id)
        settings = Settings(manifests=folder, node="node-1", naming_grace=5.0, retry_max=4.0)
        self.before = b""
        self.verdicts: Callable[[Victim, bool], Verdict | None] = lambda _victim, _live: None
        self.settings = settings
        self.boot()

    def boot(self) -> None:
        self.target = FileSink(self, self.settings.retry_max, lambda _, longest: longest)
        self.counters = Counters()
        self.reporter = Reporter(
            self.settings,
            self.boot_id,
            self.spool,
            self.index,
            self.target,
            counters=self.counters,
            discloses=lambda: True,
            verdict=lambda victim, /, *, live: self.verdicts(victim, live),
            locate=lambda victim: located(victim, self.index, str(self.root), 1000),
        )

    def last(self) -> bytes:
        return self.before

    @property
    def tree(self) -> Tree:
        return tree_of(self.root)

    def know(self, *pods: Pod) -> None:
        self.index.update(OwnerFinder().of(self.tree, pods, resolve((), (), pods), Defaults()), now=0)

    def kill(self, path: str = CONTAINER, tgid: int = 1, now: float = 0.0, **fields: Any) -> None:  # noqa: ANN401
        raw = bytes(record(path, ids_along(self.root, path), victim_tgid=tgid, **fields))
        assert self.reporter.receive(raw, now)

    def write(self, manifest: Mapping[str, Any]) -> None:
        if self.error:
            raise self.error
        assert manifest["metadata"]["name"]
        self.written.append(manifest)

    def run(self, *pods: Pod, now: float = 0.0) -> float | None:
        return self.reporter.run(pods, now)

    def regarded(self) -> list[str]:
        return [each["regarding"]["name"] for each in self.written]
