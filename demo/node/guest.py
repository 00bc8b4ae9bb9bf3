# SPDX-License-Identifier: Apache-2.0
"""The demo's second half, in the guest: the three acts, and a check of their results."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from demo.node import enforcement, kubelet, record, shortage, story
from demo.node.page import Page
from oompolicy.manifests import load_manifests
from oompolicy.oomsettings import Mode
from tests.node.machine import pin_this_process

if TYPE_CHECKING:
    from subprocess import Popen

    from demo.node.kubelet import Running
    from oompolicy.model import Pod


class Demo:
    """One run. The guest ends after it, so the last act does not clean up."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.capacity = shortage.meminfo_mib("MemTotal") << 20
        self.pods = self._pods()
        self.scores: dict[str, int] = {}
        self.priorities: dict[str, int] = {}

    def run(self) -> int:
        """Play all acts, and return the result."""
        self.page.step(f"the node is up: kernel {os.uname().release}, {self.capacity >> 20} MiB of memory")
        without = self.act_without_policy()
        agent = self._attach()
        audited = self.act_in_audit(agent)
        with_policy = self.act_with_policy(agent)
        record.save(record.Record(os.uname().release, without.pods, with_policy.pods))
        return self.judge(without, audited, with_policy)

    def act_without_policy(self) -> story.Ending:
        self.page.heading("Act 1: without policy")
        containers = self._start_pods()
        self._show_processes(containers)
        ending = self._run_out_of_memory(containers)
        self._show_ending(ending, containers, story.WITHOUT, "bad")
        kubelet.stop(containers)
        return ending

    def act_in_audit(self, agent: Popen[bytes]) -> story.Ending:
        self.page.heading("Act 2: the policies in the mode Audit")
        containers = self._start_pods()
        self._show_priorities()
        self._wait_until_synced(agent, Mode.AUDIT)
        ending = self._run_out_of_memory(containers)
        self._show_ending(ending, containers, story.AUDITED, "bad")
        event = self._show_event(agent, 1)
        kubelet.stop(containers)
        # Otherwise the status before this act's end could be taken for that of the next one.
        enforcement.wait_until_synced(agent, 0, Mode.AUDIT)
        return replace(ending, event=event)

    def act_with_policy(self, agent: Popen[bytes]) -> story.Ending:
        self.page.heading("Act 3: the policies in the mode Enforce")
        self.page.step("the mode in OOMSettings is now Enforce; no program is loaded, and the agent keeps running")
        enforcement.set_mode(Mode.ENFORCE)
        containers = self._start_pods()
        self._wait_until_synced(agent, Mode.ENFORCE)
        self._show_processes(containers)
        record.ORDER.write_bytes(enforcement.order())
        ending = self._run_out_of_memory(containers)
        self._show_ending(ending, containers, story.WITH, "good")
        event = self._show_event(agent, 2)
        return replace(self._ending(containers, ending.log), event=event)

    def judge(self, without: story.Ending, audited: story.Ending, with_policy: story.Ending) -> int:
        self.page.heading("The difference")
        flaws = list(story.flaws(without, audited, with_policy))
        names = {container.name: pod.name for pod in self.pods for container in pod.containers}
        self.page.text(story.summary(without, audited, with_policy, names), style="bad" if flaws else "good")
        for flaw in flaws:
            self.page.marked("wrong", flaw, "bad")
        return 1 if flaws else 0

    def _pods(self) -> tuple[Pod, ...]:
        found = load_manifests([enforcement.EXAMPLES])
        if found.problems:
            raise enforcement.EnforcementError("\n".join(map(str, found.problems)))
        return tuple(pod for pod in found.pods if pod.node_name == enforcement.NODE)

    def _start_pods(self) -> list[Running]:
        self.page.step("starting the pods of examples/demo/pods.yaml, in the cgroups and with the weights of kubelet")
        return kubelet.start(self.pods, self.capacity)

    def _attach(self) -> Popen[bytes]:
        self.page.heading("Install")
        self.page.step("oompolicy-loader attach: the hook's module and the policy program go into the running kernel")
        report = enforcement.attach()
        self.page.step(f"attached: backend {report['backend']}, hook {report['hook']}; the loader has ended")
        self.page.step("oompolicy-agent --manifests examples/demo: as user 41317, without any capability")
        return enforcement.start_agent(Mode.AUDIT)

    def _wait_until_synced(self, agent: Popen[bytes], mode: Mode) -> None:
        self.page.step("waiting until the agent has the mode and each pod's priority in the kernel")
        counts = enforcement.wait_until_synced(agent, len(self.pods), mode)["counts"]
        identity = enforcement.identity(agent)
        self.page.step(f"mode {mode}: {counts['mapEntries']} cgroups have a priority; the agent has {identity}")

    def _show_event(self, agent: Popen[bytes], number: int) -> dict[str, Any]:
        self.page.step("the agent's Event; in a cluster it goes to the API server:")
        event = enforcement.wait_for_event(agent, number)
        self.page.text(*event.strip().splitlines())
        return enforcement.parse_event(event)

    def _show_priorities(self) -> None:
        self.page.step(f"oompolicy resolve -f examples/demo --node {enforcement.NODE}:")
        rows = [
            (f"{pod.namespace}/{pod.pod_name}", container.name, container.priority, container.reason)
            for pod in enforcement.resolved()
            for container in pod.containers
        ]
        self.priorities = {name: priority for _, name, priority, _ in rows}
        self.page.table([("POD", "CONTAINER", "PRIORITY", "REASON"), *rows])

    def _show_processes(self, containers: list[Running]) -> None:
        self.page.step("the kernel alone kills the highest oom_score first:")
        self.scores = {running.place: shortage.oom_score(running.hog.pid) for running in containers}
        rows = [
            (running.place, running.name, running.hog.pid, f"{running.hog.mib} MiB", running.adj, score)
            for running in sorted(containers, key=lambda running: -self.scores[running.place])
            for score in [self.scores[running.place]]
        ]
        self.page.table([("POD", "CONTAINER", "PID", "HOLDS", "OOM_SCORE_ADJ", "OOM_SCORE"), *rows])

    def _run_out_of_memory(self, containers: list[Running]) -> story.Ending:
        (report,) = (running for running in containers if running.name == story.GROWS)
        self.page.step(f"{report.place} grows until the node has no memory left")
        log = shortage.grow_until_oom(report.hog, lambda mib: self.page.step(f"it holds {mib} MiB"))
        held = ", ".join(f"{running.name} {running.hog.mib} MiB" for running in containers)
        self.page.step(f"out of memory; until then the node held {held}")
        return self._ending(containers, log)

    def _ending(self, containers: list[Running], log: tuple[str, ...]) -> story.Ending:
        """Return the dead of the kernel's log, and every other process that has ended."""
        killed = shortage.victims(log, {running.hog.pid: running.name for running in containers})
        gone = tuple(running.name for running in containers if not running.hog.alive and running.name not in killed)
        dead = killed + gone
        pods = [
            record.Pod(
                running.place,
                running.hog.mib,
                self.scores[running.place],
                self.priorities.get(running.name),
                running.name in dead,
            )
            for running in containers
        ]
        return story.Ending(dead, log, pods=tuple(pods))

    def _show_ending(self, ending: story.Ending, containers: list[Running], act: story.Act, style: str) -> None:
        by_name = {running.name: running for running in containers}
        for name in ending.dead:
            running = by_name.get(name)
            self.page.marked("killed", f"{running.place} (pid {running.hog.pid})" if running else name, style)
        if ending.dead == act.dead:
            self.page.marked("why", act.why, style)
        for line in story.told(ending.log):
            self.page.marked("kernel", line, "name" if line == story.POLICY_LINE else "dim")


def main() -> int:
    """Return 0 if the demo ended as expected."""
    words = argparse.ArgumentParser(prog="python3 -m demo.node.guest")
    words.add_argument("--started", type=float, required=True, metavar="SECONDS", help="time of day of the start")
    words.add_argument("--colour", action="store_true")
    arguments = words.parse_args()
    pin_this_process()
    try:
        return Demo(Page(arguments.colour, arguments.started)).run()
    except (enforcement.EnforcementError, shortage.NoShortageError) as error:
        print(f"demo: {error}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
