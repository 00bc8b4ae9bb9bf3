# SPDX-License-Identifier: Apache-2.0
"""A probe is attached as a whole or not at all."""

from __future__ import annotations

import pytest

from oompolicy_trace.probes import PROBES, Probe
from oompolicy_trace.tracer import TracerError, attach

KNOWN = {probe.name for probe in PROBES}
BOTH = [probe for probe in PROBES if probe.entered and probe.returned]


class Bpf:
    """The interface of bcc. The kernel refuses the calls in `refused`."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.attached: set[tuple[str, bytes, bytes]] = set()

    def _asked(self, call: str) -> None:
        if call in self.refused:
            raise Exception(f"Failed to {call}:\n  Invalid argument")  # noqa: TRY002 (as bcc)

    def attach_kprobe(self, *, event: bytes, fn_name: bytes) -> None:
        self._asked("attach_kprobe")
        self.attached.add(("entry", event, fn_name))

    def attach_kretprobe(self, *, event: bytes, fn_name: bytes) -> None:
        self._asked("attach_kretprobe")
        self.attached.add(("return", event, fn_name))

    def detach_kretprobe(self, *, event: bytes, fn_name: bytes) -> None:
        self._asked("detach_kretprobe")
        self.attached.remove(("return", event, fn_name))
        self._asked("read kprobe_events")

    @property
    def kprobe_fds(self) -> dict[bytes, dict[bytes, int]]:
        """The open probes. The name of an event stays after its last program is gone."""
        events: dict[bytes, dict[bytes, int]] = {b"r_" + probe.name.encode(): {} for probe in PROBES}
        for number, (_, event, program) in enumerate(self.attached):
            events[b"r_" + event][program] = number
        return events


@pytest.mark.parametrize("probe", BOTH, ids=lambda probe: probe.name)
@pytest.mark.parametrize("refused", ["attach_kprobe", "attach_kretprobe"])
def test_no_probe_of_a_function_stays_if_the_kernel_refuses_one(refused: str, probe: Probe) -> None:
    """The return is attached first. Without its begin, each end would be taken for the end of an earlier begin."""
    bpf = Bpf(refused)

    assert f"Failed to {refused}: Invalid argument" == attach(bpf, probe, KNOWN).problem
    assert set() == bpf.attached


def test_both_probes_of_a_function_are_attached() -> None:
    bpf = Bpf()
    (first, *_) = BOTH
    name = first.name.encode()

    assert "" == attach(bpf, first, KNOWN).problem
    assert {("entry", name, first.entered.encode()), ("return", name, first.returned.encode())} == bpf.attached


def test_a_container_without_tracefs_goes_on() -> None:
    """bcc reports an error there, after it has closed the probe."""
    (first, *_) = BOTH
    bpf = Bpf("attach_kprobe", "read kprobe_events")

    assert "Failed to attach_kprobe: Invalid argument" == attach(bpf, first, KNOWN).problem
    assert set() == bpf.attached


def test_a_probe_that_cannot_be_detached_ends_the_tool() -> None:
    """The kernel removes all probes of a process that ends."""
    (first, *_) = BOTH

    with pytest.raises(TracerError, match=rf"^the probe at the return of {first.name}\(\) cannot be detached: "):
        attach(Bpf("attach_kprobe", "detach_kretprobe"), first, KNOWN)
