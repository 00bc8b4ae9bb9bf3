# SPDX-License-Identifier: Apache-2.0
"""Another policy on the hook: `workload/answers.bpf.c`, which gives the answers that a test sets."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.libbpf import libbpf
from oompolicy_agent.kernel.maps import HASH, Map
from tests.node import in_process, policy

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
    """The answers by process. The answer for a process without an entry is `NO_BPF_POLICY`."""

    def __init__(self) -> None:
        super().__init__(PINS / "maps/answers")
        self.expect(type=HASH, key_size=4, value_size=ctypes.sizeof(_Answer))

    def set(self, verdicts: dict[Hog, Verdict]) -> None:
        """Set the answers, and start to count the questions from zero."""
        for hog, verdict in verdicts.items():
            self._put(hog.pid, verdict)

    def set_others(self, verdict: Verdict) -> None:
        """Set the answer for every process without an answer of its own."""
        self._put(OTHERS, verdict)

    def asked(self, hog: Hog) -> int:
        """Return how often the kernel has asked about a process since the test set its answer."""
        key, answer = ctypes.c_uint32(hog.pid), _Answer()
        result = libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(answer))
        assert result == 0, f"no answer for {hog!r}"
        return answer.asked

    def clear(self) -> None:
        """Remove all answers."""
        key = ctypes.c_uint32()
        while libbpf().bpf_map_get_next_key(self.fd, None, ctypes.byref(key)) == 0:
            libbpf().bpf_map_delete_elem(self.fd, ctypes.byref(key))

    def _put(self, tgid: int, verdict: Verdict) -> None:
        key, answer = ctypes.c_uint32(tgid), _Answer(verdict=verdict)
        assert libbpf().bpf_map_update_elem(self.fd, ctypes.byref(key), ctypes.byref(answer), 0) == 0


def attach() -> None:
    """Attach this policy instead of our own. Load the module if the kernel has no hook."""
    in_process.detach()
    if policy.STOCK:
        subprocess.run(["insmod", policy.MODULE], check=True)
    PINS.mkdir()
    links, maps = PINS / "links", PINS / "maps"
    command: list[str | Path] = ["bpftool", "prog", "loadall", OBJECT, links, "pinmaps", maps, "autoattach"]
    subprocess.run(command, check=True)


def detach() -> None:
    """Detach this policy, and let the loader remove the module, which is now unused."""
    shutil.rmtree(PINS)
    in_process.detach()
