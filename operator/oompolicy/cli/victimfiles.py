# SPDX-License-Identifier: Apache-2.0
"""Find victims in the JSON log of an agent, and in the Events that an agent without a cluster writes. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from oompolicy.cli.times import parse_time
from oompolicy.cli.victimlist import Victim, of_event

_REASON: Final = "OOMVictimKilled"
_KEYS: Final = ("namespace", "pod", "container", "process", "pid", "priority", "policy", "scope", "message")


def victims_in(text: str) -> list[Victim]:
    """Return the victims of a file. Raise ValueError with a sentence if it has neither JSON lines nor Events."""
    objects = list(_json_lines(text)) or _documents(text)
    if text.strip() and not objects:
        raise ValueError("no line is JSON, and there is no Event: agents log JSON with --log-format json")
    found = [of_event(each) if each.get("kind") == "Event" else _of_log(each) for each in objects]
    return list(dict.fromkeys(filter(None, found)))


def _json_lines(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the object of each line. `kubectl logs --prefix` and `--timestamps` put words before it."""
    for line in text.splitlines():
        begin = line.find("{")
        try:
            found = json.loads(line[begin:]) if begin >= 0 else None
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and ("time" in found or found.get("kind") == "Event"):
            yield found


def _documents(text: str) -> list[Mapping[str, Any]]:
    try:
        return [each for each in yaml.safe_load_all(text) if isinstance(each, dict) and each.get("reason") == _REASON]
    except yaml.YAMLError:
        return []


def _of_log(raw: Mapping[str, Any]) -> Victim | None:
    """Return the victim of a line, or None for another message of the agent."""
    time = parse_time(raw.get("time"))
    if time is None or not {"process", "pid", "priority", "scope"} <= raw.keys():
        return None
    known: dict[str, Any] = {key: raw.get(key) for key in _KEYS}
    return Victim(time=time, last=time, node=str(raw.get("node", "")), **known)
