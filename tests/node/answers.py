# SPDX-License-Identifier: Apache-2.0
"""Another policy on the hook: `workload/answers.bpf.c`, which answers what a test tells it to."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.libbpf import libbpf
from oompolicy_agent.kernel.maps import HASH, Map
from tests.node import policy

if TYPE_CHECKING:
    from tests.node.hog import Hog

OBJECT: Final = policy.BUILD / "workload/answers.bpf.o"
PINS: Final = Path("/sys/fs/bpf/answers")
OTHERS: Final = 0


class Verdict(IntEnum):
    """`enum bpf_oom_verdict`."""

    NO_BPF_POLICY = 0
    BPF_EVAL_ABORT = 1
    BPF_EVAL_NEXT = 2
    BPF_EVAL_SELECT = 3


class _Answer(ctypes.Structure):
    asked: int
    verdict: int

    _fields_ = (("asked", ctypes.c_uint64), ("verdict", ctypes.c_uint32), ("reserved", ctypes.c_uint32))


class Answers(Map):
    """What is answered, by process. Without an answer it is `NO_BPF_POLICY`."""

    def __init__(self) -> None:
        super().__init__(PINS / "maps/answers")
        self.expect(type=HASH, key_size=4, value_size=ctypes.sizeof(_Answer))

    def set(self, verdicts: dict[Hog, Verdict]) -> None:
        """From here on, with nothing asked yet."""
        for hog, verdict in verdicts.items():
            self._put(hog.pid, verdict)

    def set_others(self, verdict: Verdict) -> None:
        """For every process without an answer of its own."""
        self._put(OTHERS, verdict)

    def asked(self, hog: Hog) -> int:
        """How often the kernel has asked about a process since its answer was set."""
        key, answer = ctypes.c_uint32(hog.pid), _Answer()
        result = libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(answer))
        assert result == 0, f"no answer for {hog!r}"
        return answer.asked

    def clear(self) -> None:
        """Answer nothing any more."""
        key = ctypes.c_uint32()
        while libbpf().bpf_map_get_next_key(self.fd, None, ctypes.byref(key)) == 0:
            libbpf().bpf_map_delete_elem(self.fd, ctypes.byref(key))

    def _put(self, tgid: int, verdict: Verdict) -> None:
        key, answer = ctypes.c_uint32(tgid), _Answer(verdict=verdict)
        assert libbpf().bpf_map_update_elem(self.fd, ctypes.byref(key), ctypes.byref(answer), 0) == 0


def attach() -> None:
    """Instead of our own policy; with the module where the kernel has no hook."""
    policy.detach()
    if policy.STOCK:
        subprocess.run(["insmod", policy.MODULE], check=True)
    PINS.mkdir()
    links, maps = PINS / "links", PINS / "maps"
    command: list[str | Path] = ["bpftool", "prog", "loadall", OBJECT, links, "pinmaps", maps, "autoattach"]
    subprocess.run(command, check=True)


def detach() -> None:
    """The module too, which the loader finds unused."""
    shutil.rmtree(PINS)
    policy.detach()
