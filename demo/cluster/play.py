# SPDX-License-Identifier: Apache-2.0
"""Play the second part: a cluster on this machine with a guest as its one node. kubectl makes all decisions."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo.cluster.story import DATABASE, EVENT_FIELDS, PROLOGUE, REPORT, flaws
from demo.node.page import Page, wants_colour
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from tests.endtoend.guest import booted
from tests.endtoend.installation import installation
from tests.endtoend.scene import KILLED, Scene
from vmtest.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.endtoend.installation import Installation

DEADLINE: Final = 600.0
EXAMPLES: Final = "examples/demo"


class Play:
    """One run of the second part."""

    def __init__(self, page: Page, found: Installation) -> None:
        self.page, self.installation, self.scene = page, found, Scene(found)

    def run(self) -> int:
        """Return 0 if the demo ended as expected."""
        self.install()
        self.page.step("the node reports its own state:")
        oomnode = self.kubectl("get", "oomn")
        victim = self.oom()
        self.page.step("the user reads the Event:")
        self.kubectl("get", "events", "--namespace=batch", f"--output=custom-columns={EVENT_FIELDS}")
        note = self.installation.kubectl("get", "events", "--namespace=batch", "--output=jsonpath={.items[0].message}")
        self.page.text(note)
        found = list(flaws(victim, note, oomnode))
        for flaw in found:
            self.page.marked("wrong", flaw, "bad")
        return 1 if found else 0

    def install(self) -> None:
        """Do the steps of an admin and of a DaemonSet that are needed once."""
        found = self.installation
        self.page.step(
            "an API server with crds/ and deploy/ applied, and the operator, on this machine; the node boots"
        )
        found.register()
        found.guest.wait()
        self.page.step("the node is up; oompolicy-loader attach: hook and policy program go into its kernel")
        found.attach()
        self.page.step("oompolicy-agent --in-cluster: as user 41317, without any capability")
        found.start_agent()
        found.await_status()

    def oom(self) -> str | None:
        """Return the pod that died first of the node's OOM, or None."""
        self.page.step("an admin decides which pod dies first:")
        self.kubectl("apply", f"--filename={EXAMPLES}/namespaces.yaml")
        self.kubectl("apply", f"--filename={EXAMPLES}/databases.yaml", f"--filename={EXAMPLES}/batch.yaml")
        database, report = self.scene.run_pods(DATABASE.pod, REPORT.pod)
        for pod, role in ((database, DATABASE), (report, REPORT)):
            self.scene.start(pod, role.mib, role.container)
            self.installation.await_priority(pod, role.priority, role.container)
        self.kubectl("get", "pods", "--all-namespaces", "--output=wide")
        self.page.step(f"{DATABASE.pod.name} holds {DATABASE.mib} MiB; {REPORT.pod.name} grows until the node is full")
        victim = self.scene.first_victim("exhaust_node", uid=report.uid, container=REPORT.container)
        self.page.marked("killed", victim or "no pod", "good")
        self.scene.event(report, KILLED)
        return victim

    def kubectl(self, *words: str) -> str:
        """Show the command and its output."""
        self.page.text(f"$ kubectl {shlex.join(words)}", style="name")
        printed = self.installation.kubectl(*words)
        for line in printed.splitlines():
            print(f"  {line}", flush=True)
        return printed


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Installation]:
    """Yield the surroundings of the play. The guest boots while the cluster starts."""
    (folder / "cluster").mkdir()
    with (
        booted(folder, DEADLINE) as guest,
        running_cluster(ensure_binaries(), folder / "cluster") as cluster,
        installation(cluster, guest, folder) as found,
    ):
        yield found


def main() -> int:
    """Return 0, or 1 if the demo ended otherwise or could not be played."""
    page = Page(wants_colour(os.environ, terminal=sys.stdout.isatty()), time.time())
    page.heading("The same in a cluster")
    page.text(*PROLOGUE)
    try:
        with tempfile.TemporaryDirectory(prefix="oompolicy-demo-") as name, stage(Path(name)) as found:
            return Play(page, found).run()
    except KeyboardInterrupt:
        return 130
    except (HarnessError, AssertionError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
