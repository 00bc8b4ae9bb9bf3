# SPDX-License-Identifier: Apache-2.0
"""List the victims of the OOM killer from Events and OOMNodes. Pure.

Events expire, by default after an hour, and one Event may stand for several victims of a container. An OOMNode keeps
the last ten victims of its node. A victim that both have is listed once, with all that they have.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from oompolicy.cli.table import Table
from oompolicy.cli.times import age, parse_time

_HEADER: Final = ("AGE", "NODE", "NAMESPACE", "POD", "CONTAINER", "PROCESS", "PRIORITY", "POLICY", "SCOPE", "COUNT")
_MESSAGE: Final = re.compile(
    r"Kernel OOM killer killed (?P<process>.*?) \(pid (?P<pid>\d+), anon-rss \d+ MiB\) in .*?:"
    r" scope (?P<scope>\w+).*?; priority (?:(?P<priority>\d+)|unknown)",
    re.DOTALL,
)
_FIELD: Final = re.compile(r".*\{(.*)\}")

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Victim:
    """One victim, or `count` victims of one container. A part that is not known is None.

    `time` is the time of the first kill, and `last` that of the last one.
    """

    time: datetime
    last: datetime
    node: str
    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    process: str | None = None
    pid: int | None = None
    priority: int | None = None
    policy: str | None = None
    scope: str | None = None
    count: int = 1
    message: str | None = None


def victims(events: Iterable[Raw], oomnodes: Iterable[Raw]) -> list[Victim]:
    """Return all victims, the last one at the end."""
    found = {(each.node, each.time): each for each in filter(None, map(of_event, events))}
    series = [each for each in found.values() if each.count > 1]
    for raw in oomnodes:
        for each in _of_node(raw):
            key = each.node, each.time
            if key in found:
                event = found[key]
                found[key] = replace(each, last=event.last, count=event.count, message=event.message)
            elif not any(_stands_for(event, each) for event in series):
                found[key] = each
    return sorted(found.values(), key=lambda each: (each.last, each.node))


def table(found: Iterable[Victim], now: datetime, *, wide: bool) -> Table:
    """Return one row for each victim. A wide table has the message of the Event."""
    return Table((*_HEADER, *(["MESSAGE"] if wide else [])), [_row(each, now, wide=wide) for each in found])


def plain(victim: Victim) -> dict[str, Any]:
    """Return the victim as data of JSON."""
    return {**asdict(victim), "time": victim.time.isoformat(), "last": victim.last.isoformat()}


def name_of(victim: Victim) -> str:
    """Return the pod, or the node for a process of the host, as kubectl's `-o name` would, with the namespace."""
    return f"pod/{victim.namespace}/{victim.pod}" if victim.pod else f"node/{victim.node}"


def _row(each: Victim, now: datetime, *, wide: bool) -> tuple[str, ...]:
    values = (
        *(each.node, each.namespace, each.pod, each.container, each.process),
        *(each.priority, each.policy, each.scope, each.count),
        *((each.message,) if wide else ()),
    )
    return (age(each.last, now), *("-" if value is None else str(value) for value in values))


def of_event(raw: Raw) -> Victim | None:
    """Return the victims of an Event, or None if it has no time, so that it is not of an agent."""
    time = parse_time(raw.get("eventTime"))
    if time is None:
        return None
    regarding, related, series = raw.get("regarding") or {}, raw.get("related") or {}, raw.get("series") or {}
    message = str(raw.get("note", ""))
    said = _MESSAGE.match(message)
    container = _FIELD.fullmatch(str(regarding.get("fieldPath", "")))
    of_pod = regarding.get("kind") == "Pod"
    return Victim(
        time=time,
        last=parse_time(series.get("lastObservedTime")) or time,
        node=str(raw.get("reportingInstance", "")),
        namespace=regarding.get("namespace") if of_pod else None,
        pod=regarding.get("name") if of_pod else None,
        container=container[1] if container else None,
        process=said["process"] if said else None,
        pid=int(said["pid"]) if said else None,
        priority=int(said["priority"]) if said and said["priority"] else None,
        policy=related.get("name"),
        scope=said["scope"].capitalize() if said else None,
        count=int(series.get("count", 1)),
        message=message,
    )


def _of_node(raw: Raw) -> Iterable[Victim]:
    for each in (raw.get("status") or {}).get("lastVictims") or ():
        if time := parse_time(each.get("time")):
            keys = ("namespace", "pod", "container", "process", "pid", "priority", "policy", "scope")
            known = {key: each.get(key) for key in keys}
            yield Victim(time=time, last=time, node=str(raw["metadata"]["name"]), **known)


def _stands_for(event: Victim, victim: Victim) -> bool:
    """Return True if the victim is one of those that the series of the Event counts."""
    same = (event.node, event.namespace, event.pod, event.container) == (
        *(victim.node, victim.namespace, victim.pod, victim.container),
    )
    return same and event.time <= victim.time <= event.last
