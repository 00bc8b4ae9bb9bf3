# SPDX-License-Identifier: Apache-2.0
"""The output of `preflight` as a table and as JSON."""

from __future__ import annotations

import json

from oompolicy_agent.loader.preflight.answer import Answer, Order
from oompolicy_agent.loader.preflight.check import Check, Verdict
from oompolicy_agent.loader.preflight.show import as_json, as_table

ROWS = (Check("kernel", "6.12"), Check("LoadPin", "on", Verdict.NO, "it refuses modules"))
ANSWER = Answer(Order.SCORES, "LoadPin refuses modules")


def test_the_table_has_aligned_columns_and_ends_with_the_answer() -> None:
    assert as_table(ROWS, ANSWER).splitlines() == [
        "CHECK     FOUND   VERDICT   CONSEQUENCE",
        "kernel    6.12    ok        -",
        "LoadPin   on      no        it refuses modules",
        "",
        "by scores, because LoadPin refuses modules",
    ]


def test_the_json_has_the_same_as_the_table() -> None:
    assert json.loads(as_json(ROWS, ANSWER, "6.12")) == {
        "kernelVersion": "6.12",
        "order": "by scores",
        "because": "LoadPin refuses modules",
        "checks": [
            {"name": "kernel", "found": "6.12", "verdict": "ok", "consequence": ""},
            {"name": "LoadPin", "found": "on", "verdict": "no", "consequence": "it refuses modules"},
        ],
    }
