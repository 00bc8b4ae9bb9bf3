# SPDX-License-Identifier: Apache-2.0
"""The pods of the second part, and its expected result. The functions are pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.node.kubelet import Pod

if TYPE_CHECKING:
    from collections.abc import Iterator

PROLOGUE: Final = (
    "A real API server, the operator, and a node whose agent runs as its DaemonSet's pod would, with",
    "nothing but the pod's own token. All decisions are made with kubectl, and kubectl shows the result.",
)

EVENT_FIELDS: Final = "REASON:.reason,POD:.involvedObject.name,CONTAINER:.involvedObject.fieldPath,BY:.related.name"


@dataclass(frozen=True, slots=True)
class Role:
    """One pod: its memory at first, and the priority that examples/demo gives it."""

    pod: Pod
    mib: int
    priority: int

    @property
    def container(self) -> str:
        """The pod's only container."""
        return self.pod.containers[0]


DATABASE: Final = Role(Pod("postgres-0", "shop", containers=("postgres",), labels={"app": "postgres"}), 120, 900)
REPORT: Final = Role(Pod("report-29393280-lq5rd", "batch", containers=("report",)), 20, 100)


def flaws(victim: str | None, note: str, oomnode: str) -> Iterator[str]:
    """Yield each difference from the expected result.

    `victim` is the pod that died first, or None. `oomnode` is the output of `kubectl get oomn`.
    """
    if victim != REPORT.pod.name:
        yield f"{victim or 'no pod'} died first, not {REPORT.pod.name}"
    for words in ("scope Node", "priority 100 from OOMPolicy batch", f"spared: {DATABASE.container} "):
        if words not in note:
            yield f"the Event does not say {words!r}"
    header, *lines = (line.split() for line in oomnode.splitlines())
    if [dict(zip(header, line, strict=False)).get("ENFORCING") for line in lines] != ["True"]:
        yield "the node does not say that it enforces"
