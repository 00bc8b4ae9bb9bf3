# SPDX-License-Identifier: Apache-2.0
"""An adjuster that is killed at any moment leaves a state from which the next one restores every value exactly."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from oompolicy_agent.adjuster.badness import Scope, Span
from oompolicy_agent.adjuster.originals import Originals
from tests.unit.agent.adjuster.machine import BOOT, CrashError, Machine, Running, adjuster

SCOPES = [Scope("Node", 262_144, Span(0, 3000)), Scope("Kubepods", 240_000)]
VALUES = st.integers(-997, 1000)
USAGES = st.integers(0, 60_000)
PRIORITIES = st.sampled_from([0, 100, 500, 1000])
CRASHES = st.none() | st.integers(0, 40)


class Crashes(RuleBasedStateMachine):
    """Random steps of workloads, of the runtime and of adjusters that are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "originals.json"
        self.patch = mock.patch("oompolicy_agent.adjuster.originals.write_atomic", self.machine.write_atomic)
        self.patch.start()
        self.adjuster = adjuster(self.machine, self.path)
        self.scores: set[int] = set()

    @initialize(value=VALUES, usage=USAGES, priority=PRIORITIES)
    def first_container(self, value: int, usage: int, priority: int) -> None:
        self.new_container(value, usage, priority)

    @rule(value=VALUES, usage=USAGES, priority=PRIORITIES)
    def new_container(self, value: int, usage: int, priority: int) -> None:
        cgroup = 5000 + len(self.machine.priorities)
        self.machine.priorities[cgroup] = priority
        self.machine.values[cgroup] = value
        self.machine.start(cgroup, value, usage)

    @rule(data=st.data())
    def exec_a_process(self, data: st.DataObject) -> None:
        """The runtime gives the container's value to one more process."""
        cgroup = data.draw(st.sampled_from(sorted(self.machine.values)))
        if self.machine.values[cgroup] not in self.scores:
            self.machine.start(cgroup, self.machine.values[cgroup], 10)

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        """Fork at any time. If the cgroup has own values of processes, an adjuster runs at that time."""
        parent = self.pick(data, list(self.machine.processes))
        mixed = self.machine.is_mixed(parent.cgroup)
        if mixed:
            self.enforce(None, None)
        self.machine.fork(parent)
        if mixed:
            self.enforce(None, None)

    @rule(data=st.data(), value=VALUES)
    def set_an_own_value(self, data: st.DataObject, value: int) -> None:
        """A process sets its value, and a running adjuster sees that. It cannot be one of its own recent scores."""
        process = self.pick(data, list(self.machine.processes))
        self.enforce(None, None)
        if value not in self.scores:
            process.score = process.original = value
            self.enforce(None, None)

    @rule(data=st.data(), usage=USAGES)
    def grow(self, data: st.DataObject, usage: int) -> None:
        self.pick(data, list(self.machine.processes)).usage = usage

    @precondition(lambda self: len(self.machine.processes) > 1)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        """A process ends after all its children were seen."""
        self.enforce(None, None)
        del self.machine.processes[self.pick(data, list(self.machine.processes)).id.pid]

    @rule(crash=CRASHES, fork=CRASHES)
    def enforce(self, crash: int | None, fork: int | None) -> None:
        self.scores |= {each.score for each in self.machine.processes.values()}
        self.step(crash, fork, off=False)
        self.scores |= {each.score for each in self.machine.processes.values()}

    @rule(crash=CRASHES, fork=CRASHES)
    def turn_off(self, crash: int | None, fork: int | None) -> None:
        self.step(crash, fork, off=True)

    def step(self, crash: int | None, fork: int | None, *, off: bool) -> None:
        """Let the adjuster look once. After a crash a new one starts."""
        self.machine.crash_in = -1 if crash is None else crash
        self.machine.fork_in = -1 if fork is None else fork
        groups = self.machine.groups(self.machine.priorities)
        try:
            if off:
                self.adjuster.restore(groups)
            else:
                self.adjuster.enforce(groups, SCOPES, 1000)
        except CrashError:
            self.adjuster = adjuster(self.machine, self.path)
        self.machine.crash_in = self.machine.fork_in = -1

    def pick(self, data: st.DataObject, pids: list[int]) -> Running:
        return self.machine.processes[data.draw(st.sampled_from(sorted(pids)))]

    def teardown(self) -> None:
        """Start a new adjuster in mode Off, and compare value by value."""
        self.adjuster = adjuster(self.machine, self.path)
        for _ in range(2):
            self.turn_off(None, None)
        groups = self.machine.groups(self.machine.priorities)
        self.adjuster.forget_all_but(groups, {group.cgroup for group in groups})
        self.patch.stop()
        kept = Originals(self.path, BOOT).known
        self.folder.cleanup()
        found = {each.id: each.score for each in self.machine.processes.values()}
        assert {each.id: each.original for each in self.machine.processes.values()} == found
        assert {} == kept


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
