# SPDX-License-Identifier: Apache-2.0
"""The places in the kernel that the tool watches, and what is lost if one cannot be watched. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Probe:
    """A function of the kernel, or a raw tracepoint if it has no `entered`."""

    name: str
    shows: str
    without: str
    entered: str = ""
    returned: str = ""
    traced: str = ""

    @property
    def kind(self) -> str:
        """The mechanism by its name in the output."""
        return "raw tracepoint" if self.traced else "kprobe"


PROBES: Final = (
    Probe(
        "signal_generate",
        "each process that gets SIGKILL",
        "no process is shown as killed, and mark_victim shows the main victims alone",
        traced="signal_generated",
    ),
    Probe(
        "mark_victim",
        "the victims that the kernel marks, also those that are dying already",
        "processes that are dying already are not shown",
        traced="victim_marked",
    ),
    Probe(
        "oom_kill_process",
        "the task chosen, and the kernel's message",
        "the best task of the scan is shown as the one chosen",
        entered="kill_began",
    ),
    Probe(
        "bpf_oom_evaluate_task",
        "the policy's answer for each task",
        "no policy is asked: the kernel's own rule decides",
        entered="hook_began",
        returned="hook_ended",
    ),
    Probe(
        "oom_badness",
        "the badness of each task",
        "this tool computes the badness from the task's memory and score",
        entered="badness_began",
        returned="badness_ended",
    ),
    Probe(
        "oom_evaluate_task",
        "the verdict on each task",
        "no verdict is shown, and of the tasks those alone that oom_badness() measured",
        entered="evaluation_began",
        returned="evaluation_ended",
    ),
    Probe(
        "out_of_memory",
        "the begin and the end of each OOM, the scope and the time",
        "nothing can be shown",
        entered="oom_began",
        returned="oom_ended",
    ),
)
"""In the order in which they are attached. An OOM has records only after its begin was seen, so the program sees each
OOM as a whole or not at all."""

REQUIRED: Final = "out_of_memory"


@dataclass(frozen=True)
class Source:
    """A probe on this kernel. `problem` is empty if it is attached. `doubt` says why it may still see nothing."""

    probe: Probe
    problem: str = ""
    doubt: str = ""


def symbols(kallsyms: Iterable[str]) -> set[str]:
    """Return the functions of the kernel and its modules that have to do with an OOM, with the compiler's suffixes."""
    names = (line.split(maxsplit=3)[2] for line in kallsyms if "oom" in line or "out_of_memory" in line)
    return {name.partition("\t")[0] for name in names}


def absence(name: str, known: set[str]) -> str:
    """Return the reason why a function cannot be watched, or an empty string."""
    if name in known:
        return ""
    changed = sorted(each for each in known if re.fullmatch(rf"{name}\.(isra|constprop|part)\S*", each))
    if changed:
        return f"the compiler changed its parameters: this kernel has {', '.join(changed)}"
    return "this kernel has no such function, or the compiler inlined it"


def doubt(name: str, known: set[str]) -> str:
    """Return the reason why the kernel may not call a function that it has, or an empty string."""
    parts = sorted(each for each in known if re.fullmatch(rf"{name}\.part\S*", each))
    if not parts or name not in known:
        return ""
    return f"the compiler split it, and the kernel may call {', '.join(parts)} alone"
