# SPDX-License-Identifier: Apache-2.0
"""Say what each node can do, from its OOMNode. Pure.

The words are those of `oompolicy-loader preflight`, which asks the node itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from oompolicy.cli.nodereports import NO_OBJECT, NO_STATUS
from oompolicy.cli.table import Table

_ORDERS: Final = {"EvaluateTask": "exact", "OOMScoreAdj": "by scores", "ObserveOnly": "observes"}
_NOTHING: Final = "nothing"
_UNKNOWN: Final = "unknown"

Raw = Mapping[str, Any]


def abilities(oomnodes: Iterable[Raw], nodes: Iterable[str]) -> list[dict[str, Any]]:
    """Return the ability of each node as data of JSON, sorted by name. `nodes` may have names without an OOMNode."""
    found = {str(raw["metadata"]["name"]): _ability(raw) for raw in oomnodes}
    missing = {name: _row(name, {}, _UNKNOWN, NO_OBJECT) for name in nodes if name not in found}
    return [each for _, each in sorted({**found, **missing}.items())]


def table(found: Iterable[Raw]) -> Table:
    """Return one row for each node. BECAUSE, with the reason, is the last column."""
    keys = ("node", "order", "enforcing", "kernelVersion", "because")
    rows = [tuple("-" if each[key] is None else str(each[key]) for key in keys) for each in found]
    return Table(("NODE", "ORDER", "ENFORCING", "KERNEL", "BECAUSE"), rows)


def _ability(raw: Raw) -> dict[str, Any]:
    name, status = str(raw["metadata"]["name"]), raw.get("status") or {}
    if not status:
        return _row(name, status, _UNKNOWN, NO_STATUS)
    enforcing = _enforcing(status)
    if enforcing.get("status") == _UNKNOWN.capitalize():
        # The last report may be of an earlier boot, with another kernel.
        return _row(name, status, _UNKNOWN, f"{enforcing.get('reason')}: {enforcing.get('message')}")
    # An agent of an earlier version reports no reason of the backend.
    because = str(status.get("backendReason") or enforcing.get("message") or "the agent does not say why")
    order = _ORDERS.get(str(status.get("backend")), _UNKNOWN)
    return _row(name, status, _NOTHING if enforcing.get("reason") == "NotAttached" else order, because)


def _row(name: str, status: Raw, order: str, because: str) -> dict[str, Any]:
    return {
        "node": name,
        "order": order,
        "because": because,
        "enforcing": _enforcing(status).get("status"),
        "backend": status.get("backend"),
        "hook": status.get("hook"),
        "kernelVersion": status.get("kernelVersion"),
    }


def _enforcing(status: Raw) -> Raw:
    return next((each for each in status.get("conditions") or () if each.get("type") == "Enforcing"), {})
