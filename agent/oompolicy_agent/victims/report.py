# SPDX-License-Identifier: Apache-2.0
"""The report of one named victim: an Event, and an item of the node's status. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oompolicy_agent.victims.event import event, micro_time, nanoseconds
from oompolicy_agent.victims.log import log_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.victims.naming import NamedVictim

Key = tuple[str, str, str]
"""The pod's uid, the container and the policy. Victims with the same key are alike."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report on its way from the spool to the sink.

    `event` is the object that the API server and the disk get. `summary` is an item of the status's `lastVictims`.
    `log` is the object that the agent logs (`victims.log`). The fields that follow are parts of the Event, so that no
    other module reads them from the object.
    The report stands for `victims` victims. The last of them died at `last_observed`, a metav1.MicroTime.
    """

    event: Mapping[str, Any]
    summary: Mapping[str, Any]
    log: Mapping[str, Any]
    namespace: str
    name: str
    reason: str
    note: str
    key: Key
    killed_ns: int
    victims: int
    last_observed: str

    @property
    def subject_uid(self) -> str:
        """The uid of the object that the Event regards."""
        return self.key[0]

    @property
    def killed_at(self) -> str:
        """The time of the kill, a metav1.MicroTime."""
        return str(self.event["eventTime"])

    def standing_for(self, repeats: int, last_ns: int) -> Report:
        """Return the report of this victim and of `repeats` more. The last died at `last_ns`, the time of day."""
        if not repeats:
            return self
        return replace(self, victims=1 + repeats, last_observed=max(self.last_observed, micro_time(last_ns)))

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The Event with its series, if the report stands for more than one victim."""
        if self.victims == 1:
            return self.event
        return {**self.event, "series": {"count": self.victims, "lastObservedTime": self.last_observed}}


def report_of(named: NamedVictim, node: str, realtime_offset_ns: int, *, disclose: bool) -> Report:
    """Return the report of a victim. `realtime_offset_ns` is the time of day minus the boot clock, in its boot.

    `disclose` is that of `event`. The log always has everything.
    """
    document = event(named, node, realtime_offset_ns, disclose=disclose)
    return read_report(document, _summary(named, realtime_offset_ns), log_of(named, node, realtime_offset_ns))


def read_report(event: Mapping[str, Any], summary: Mapping[str, Any], log: Mapping[str, Any] | None = None) -> Report:
    """Return the report of an Event that this program or an earlier version made.

    An earlier version kept no `log` with a report. Its log line then has the facts of the Event and of the summary.

    Raises:
        ValueError: The object is no Event of a victim.
    """
    match event:
        case {
            "metadata": {"name": str(name), "namespace": str(namespace)},
            "eventTime": str(time),
            "reason": str(reason),
            "note": str(note),
            "regarding": {"uid": str(uid), **regarding},
        }:
            key = (uid, str(regarding.get("fieldPath", "")), _policy(event.get("related")))
            line = log or {"message": note, **summary}
            return Report(event, summary, line, namespace, name, reason, note, key, nanoseconds(time), 1, time)
    raise ValueError("the report is no Event of a victim")


def _policy(related: object) -> str:
    match related:
        case {"name": str(name)}:
            return name
        case None:
            return ""
    raise ValueError("the report relates to no policy")


def _summary(named: NamedVictim, realtime_offset_ns: int) -> dict[str, Any]:
    victim, owner = named.victim, named.owner
    known = {
        "namespace": owner.namespace,
        "pod": owner.pod,
        "container": owner.container,
        "policy": named.policy,
    }
    return {
        "time": micro_time(victim.boottime_ns + realtime_offset_ns),
        **{key: value for key, value in known.items() if value},
        "process": victim.comm,
        "pid": victim.tgid,
        **({} if victim.priority is None else {"priority": victim.priority}),
        "scope": named.scope,
    }
