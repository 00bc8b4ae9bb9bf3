# SPDX-License-Identifier: Apache-2.0
"""The sentence about pins that cannot be opened names the reason."""

from __future__ import annotations

import errno
import os

import pytest

from oompolicy_agent.mapping import pinnedmap
from oompolicy_agent.mapping.pinnedmap import sentence

PIN = "/sys/fs/bpf/oompolicy/maps/events"


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number), PIN)


def test_a_kernel_that_requires_cap_bpf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 5.19 answers EPERM to the owner of a pin, while a sysctl restricts processes without CAP_BPF."""
    monkeypatch.setattr(pinnedmap, "unprivileged_bpf_disabled", lambda: "2")

    assert (
        "this kernel opens BPF maps only for a process with CAP_BPF, because Linux is older than 5.19 and "
        "kernel.unprivileged_bpf_disabled=2: this node reports no victim, and its programs get no priorities"
    ) == sentence(refused(errno.EPERM))


@pytest.mark.parametrize(("number", "level"), [(errno.EACCES, "2"), (errno.EPERM, "")])
def test_any_other_refusal_is_the_kernels_own_message(monkeypatch: pytest.MonkeyPatch, number: int, level: str) -> None:
    """Owner and mode of a pin give EACCES, and without the sysctl another part of the kernel refuses."""
    monkeypatch.setattr(pinnedmap, "unprivileged_bpf_disabled", lambda: level)

    assert f"the loader's pins cannot be opened: {refused(number)}" == sentence(refused(number))
