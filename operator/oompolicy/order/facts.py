# SPDX-License-Identifier: Apache-2.0
"""The facts about one node and its containers that decide who dies next, and their form in JSON. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from oompolicy.model import MAX_PRIORITY
from oompolicy.oomsettings import TieBreak

VERSION: Final = 1
"""The version of the JSON. Agent and command line may be of different releases."""
PORT: Final = 9809
"""The port on the loopback of the agent's pod on which the agent serves the facts."""
PATH: Final = "/order"
"""The path of the page with the facts."""
SOCKET: Final = "order.sock"
"""The name of the Unix socket in the agent's run directory that serves the same page."""


class Holding(StrEnum):
    """The place of the held priorities: the map of the BPF program, or the last look of the adjuster.

    The program and the adjuster take the nearest entry, from the cgroup of the container upwards.
    """

    ENTRIES = "Entries"
    SCORES = "Scores"


@dataclass(frozen=True, slots=True)
class Running:
    """One container. A part that is not known is None. Memory is in bytes.

    `container` is None for all containers of a pod that the kubelet has not reported yet.
    `memory` is the memory that a kill frees, `usage` is all that the kernel charges to the container, and `score` is
    the oom_score_adj that the kubelet gives to it. `pod_usage` is all that the kernel charges to the pod, if the whole
    pod dies with the container. `margin` is the memory that the container may take between two looks
    of the adjuster without dying before a container of a lower priority. A node with the hook has none, and neither has
    the lowest priority. `uid` is that of the pod.
    `held` is the priority that the node holds for the container: see `Holding`. `held_score` is the oom_score_adj that
    the adjuster gives to it. They differ from `priority` while a change is on its way.
    """

    namespace: str
    pod: str
    container: str | None
    priority: int
    source: str
    policy: str | None
    reason: str
    memory_request: int
    memory: int | None = None
    usage: int | None = None
    score: int | None = None
    margin: int | None = None
    uid: str | None = None
    held: int | None = None
    held_score: int | None = None
    pod_usage: int | None = None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The node, its settings and its containers.

    `totals` has the memory of each scope in bytes, with swap, by the name of the scope: `node`, `kubepods` and
    `pod/NAMESPACE/NAME`. A scope without a limit of its own is missing.
    `unlisted` is the number of pods that run on the node and that no object names.
    `holding` is None if the agent does not know what the node holds. `held_problem` says why, or what is wrong with it.
    """

    node: str
    mode: str | None
    backend: str | None
    enforcing: bool
    containers: tuple[Running, ...]
    time: str | None = None
    host_priority: int = MAX_PRIORITY
    tie_break: str = TieBreak.LARGEST_MEMORY
    minimum_victim_memory: int = 0
    totals: Mapping[str, int] = field(default_factory=dict, hash=False)
    unlisted: int = 0
    holding: str | None = None
    held_problem: str = ""


def plain(facts: NodeFacts) -> dict[str, Any]:
    """Return the facts as data of JSON."""
    return {"version": VERSION, **asdict(facts)}


def parse(data: object) -> NodeFacts:
    """Return the facts from data of JSON. Raise ValueError with a sentence if it is of another version."""
    if not isinstance(data, Mapping) or data.get("version") != VERSION:
        raise ValueError("the answer of the agent is of another version: use the command line of the agent's release")
    fields = {key: value for key, value in data.items() if key != "version"}
    try:
        containers = tuple(Running(**each) for each in fields.pop("containers"))
        return NodeFacts(**fields, containers=containers)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the answer of the agent cannot be read: {error}") from error
