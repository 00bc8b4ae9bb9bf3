# SPDX-License-Identifier: Apache-2.0
"""The pods of the demo, its three acts, and the expected results. The functions are pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demo.node.record import Pod

NODE_CPUS: Final = 1
"""Hardly anything here runs in parallel, and an emulated second CPU costs the host a fifth more time."""

NODE_MIB: Final = 320
"""The node is small, so that the end of its memory is seconds of page faults away, also under emulation."""

HOLDS_MIB: Final = {"postgres": 110, "web": 40, "report": 20}
"""Memory by container. The database stays the largest: the report reaches about 70 MiB before the node is full."""

GROWS: Final = "report"
DATABASE: Final = "postgres"
POLICY: Final = "batch"
"""The OOMPolicy that decides about the report."""

POLICY_LINE: Final = "oompolicy_hook: policy_name=oompolicy"

PROLOGUE: Final = (
    "One node, three pods: a database, a web server and a nightly report. The report grows until the",
    "whole node is out of memory. Which process does the kernel kill? Once without policies, once with those of",
    "examples/demo in the mode Audit, which changes nothing, and once in the mode Enforce. Their rule: databases die",
    "last, batch work dies first.",
)


@dataclass(frozen=True, slots=True)
class Act:
    """The expected victims of an act, and the reason."""

    dead: tuple[str, ...]
    why: str


WITHOUT: Final = Act(
    (DATABASE,),
    "its oom_score was the highest, because it holds the most memory. That the report made the "
    "shortage, and that this is a database, the kernel does not know.",
)
AUDITED: Final = Act(
    (DATABASE,),
    "in the mode Audit the kernel chooses as before. The Event below names the process that the policies would have "
    "killed.",
)
WITH: Final = Act(
    (GROWS,),
    "OOMPolicy batch gives the report priority 100, the lowest on this node. The database has 900 from "
    "OOMPolicy databases, and is still the largest.",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one act.

    `dead` has container names in the kernel's order, `log` the kernel's lines about them, and `pods` the values for the
    picture.
    """

    dead: tuple[str, ...]
    log: tuple[str, ...]
    event: Mapping[str, Any] | None = None
    pods: tuple[Pod, ...] = ()


def told(log: tuple[str, ...]) -> tuple[str, ...]:
    """Return the interesting lines, each once: the trigger, the policy, and the victims.

    With memory.oom.group the kernel kills and logs the chosen victim twice: alone, and as a member of its container.
    """
    wanted = ("invoked oom-killer", "policy_name=", "Killed process")
    return tuple(dict.fromkeys(line for line in log if any(word in line for word in wanted)))


def flaws(without: Ending, audited: Ending, with_policy: Ending) -> Iterator[str]:
    """Yield each difference from the expected result."""
    if without.dead != WITHOUT.dead:
        yield f"without policy {_names(without)} died, not {DATABASE} alone"
    if any("policy_name=" in line for line in without.log):
        yield "without policy the kernel's log names one"
    if audited.dead != AUDITED.dead:
        yield f"in Audit {_names(audited)} died, not {DATABASE} alone"
    if POLICY_LINE in audited.log:
        yield "in Audit the kernel's log says that a policy chose"
    if f"mode Audit: the policy would have killed {GROWS} " not in (audited.event or {}).get("note", ""):
        yield f"the Event in Audit does not say that the policy would have killed {GROWS}"
    if with_policy.dead != WITH.dead:
        yield f"with policy {_names(with_policy)} died, not {GROWS} alone"
    if POLICY_LINE not in with_policy.log:
        yield f"the kernel's log lacks {POLICY_LINE!r}"
    yield from _event_flaws(with_policy.event or {})


def summary(without: Ending, audited: Ending, with_policy: Ending, pods: Mapping[str, str]) -> str:
    """Return all endings in one line. `pods` has the name of each container's pod."""
    acts = {"without policy": without, "in Audit": audited, "in Enforce": with_policy}
    lives = "" if DATABASE in with_policy.dead else f", {pods[DATABASE]} lives"
    endings = (f"{name}: {', '.join(pods[each] for each in end.dead) or 'nobody'} died" for name, end in acts.items())
    return "; ".join(endings) + lives


def _names(ending: Ending) -> str:
    return ", ".join(ending.dead) or "nobody"


def _event_flaws(event: Mapping[str, Any]) -> Iterator[str]:
    regarding, related = event.get("regarding", {}), event.get("related", {})
    if event.get("reason") != "OOMVictimKilled":
        yield "the agent wrote no Event OOMVictimKilled"
    elif not regarding.get("fieldPath", "").endswith(f"{{{GROWS}}}"):
        yield f"the Event is about {regarding}, not about container {GROWS}"
    elif related.get("name") != POLICY:
        yield f"the Event names {related or 'no policy'}, not OOMPolicy {POLICY}"
    elif f"spared: {DATABASE} " not in event.get("note", ""):
        yield f"the Event does not say that {DATABASE} was spared"
