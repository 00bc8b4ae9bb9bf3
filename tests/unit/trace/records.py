# SPDX-License-Identifier: Apache-2.0
"""Records for the tests, with the fields that a test names."""

from __future__ import annotations

from typing import Any

from oompolicy_trace.records import Flag, Kind, Record

MEASURED = Flag.HAS_BADNESS | Flag.HAS_PAGES


def record(kind: Kind = Kind.LOOKED_AT, **fields: Any) -> Record:  # noqa: ANN401 (the fields of a record)
    numbers = dict.fromkeys(
        ("time_ns", "oom", "cgroup_id", "priority_cgroup_id", "badness", "pages", "points", "priority", "pid", "tgid"),
        0,
    ) | dict.fromkeys(("adj", "returned", "answer", "constraint", "kthreads", "order"), 0)
    defaults: dict[str, Any] = {**numbers, "oom": 1, "kind": kind, "flags": Flag(0), "comm": "java", "message": ""}
    given = defaults | fields
    given["pid"] = given["pid"] or given["tgid"]
    return Record(**given)
