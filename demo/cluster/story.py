# SPDX-License-Identifier: Apache-2.0
"""Who is on stage in the second part, and what has to come out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.node.kubelet import Pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROLOGUE: Final = (
    "A real API server, the operator, and a node whose agent runs as its DaemonSet's pod would, with",
    "nothing but the pod's own token. Nobody touches the node: kubectl decides, and kubectl tells.",
)

EVENT_FIELDS: Final = "REASON:.reason,POD:.involvedObject.name,CONTAINER:.involvedObject.fieldPath,BY:.related.name"


@dataclass(frozen=True, slots=True)
class Role:
    """One pod: what it holds at first, and the priority that examples/demo gives it."""

    pod: Pod
    mib: int
    priority: int

    @property
    def container(self) -> str:
        """Its only one."""
        return self.pod.containers[0]


DATABASE: Final = Role(Pod("postgres-0", "shop", containers=("postgres",), labels={"app": "postgres"}), 120, 900)
REPORT: Final = Role(Pod("report-29393280-lq5rd", "batch", containers=("report",)), 20, 100)


def flaws(dead: Sequence[str], note: str, oomnode: str) -> Iterator[str]:
    """What is not as the story goes; nothing if all is. `oomnode`: what `kubectl get oomn` prints."""
    if list(dead) != [REPORT.pod.name]:
        yield f"{', '.join(dead) or 'nobody'} died, not {REPORT.pod.name} alone"
    for words in ("scope Node", "priority 100 from OOMPolicy batch", f"spared: {DATABASE.container} "):
        if words not in note:
            yield f"the Event does not say {words!r}"
    header, *lines = (line.split() for line in oomnode.splitlines())
    if [dict(zip(header, line, strict=False)).get("ENFORCING") for line in lines] != ["True"]:
        yield "the node does not say that it enforces"
