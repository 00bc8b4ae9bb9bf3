# SPDX-License-Identifier: Apache-2.0
"""Say how each node enforces, from its OOMNode. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from oompolicy.cli.table import Table
from oompolicy.cli.times import age, parse_time

_HEADER: Final = ("NODE", "MODE", "BACKEND", "ENFORCING", "SEEN", "WHY")
_WIDE: Final = ("HOOK", "PROVEN", "READY", "SYNCED", "PODS", "VICTIMS", "MARGIN", "KERNEL")
_CONDITIONS: Final = ("Enforcing", "Ready", "Synced")
_PLAIN_REASONS: Final = ("Attached", "Ready", "Synced", "ScoresInForce", "OrderHolds")
"""The reasons of conditions that need no explanation."""
NO_OBJECT: Final = "NoOOMNode: the operator has not created an OOMNode for this node. Check that the operator runs"
NO_STATUS: Final = "NoReport: the agent of this node has not reported yet. Check that its pod runs"

Raw = Mapping[str, Any]


def reports(oomnodes: Iterable[Raw], nodes: Iterable[str]) -> list[dict[str, Any]]:
    """Return a report of each node as data of JSON, sorted by name. `nodes` may have names without an OOMNode."""
    found = {str(raw["metadata"]["name"]): report(raw) for raw in oomnodes}
    missing = {name: _report(name, {}, NO_OBJECT) for name in nodes if name not in found}
    return [each for _, each in sorted({**found, **missing}.items())]


def report(raw: Raw) -> dict[str, Any]:
    """Return the report of one OOMNode."""
    status = raw.get("status") or {}
    return _report(str(raw["metadata"]["name"]), status, _why(status) if status else NO_STATUS)


def table(found: Iterable[Raw], now: datetime, *, wide: bool) -> Table:
    """Return one row for each node. WHY, with the reason why a node does not enforce, is the last column."""
    header = (*_HEADER[:-1], *(_WIDE if wide else ()), _HEADER[-1])
    return Table(header, [_row(each, now, wide=wide) for each in found])


def _row(each: Raw, now: datetime, *, wide: bool) -> tuple[str, ...]:
    keys = ("node", "mode", "backend", "enforcing")
    more = ("hook", "proven", "ready", "synced", "pods", "victims", "margin", "kernelVersion") if wide else ()
    seen = age(parse_time(each["seen"]), now)
    shown = {**each, "margin": _mebibytes(each["marginBytes"])}
    return (*(_shown(each[key]) for key in keys), seen, *(_shown(shown[key]) for key in more), _shown(each["why"]))


def _report(name: str, status: Raw, why: str | None) -> dict[str, Any]:
    conditions, counts = _conditions(status), status.get("counts") or {}
    return {
        "node": name,
        "mode": status.get("mode"),
        "backend": status.get("backend"),
        "hook": status.get("hook"),
        **{kind.lower(): conditions.get(kind, {}).get("status") for kind in (*_CONDITIONS, "Proven")},
        "seen": status.get("lastHeartbeatTime"),
        "kernelVersion": status.get("kernelVersion"),
        "pods": counts.get("pods"),
        "victims": counts.get("victims"),
        "marginBytes": (status.get("order") or {}).get("marginBytes"),
        "misses": (status.get("order") or {}).get("misses"),
        "why": why,
    }


def _why(status: Raw) -> str | None:
    """Return reason and message of the first condition that is not True, or that is True with a restriction."""
    conditions = [each for kind in (*_CONDITIONS, "OrderHolds") if (each := _conditions(status).get(kind))]
    wrong = [each for each in conditions if each.get("status") != "True"]
    restricted = [each for each in conditions if each.get("reason") not in _PLAIN_REASONS]
    for each in (*wrong, *restricted):
        return f"{each.get('reason')}: {each.get('message')}"
    return None


def _conditions(status: Raw) -> dict[str, Raw]:
    return {str(each.get("type")): each for each in status.get("conditions") or ()}


def _mebibytes(size: int | None) -> str | None:
    return None if size is None else f"{size // (1 << 20)} MiB"


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
