# SPDX-License-Identifier: Apache-2.0
"""A report is read from its own Event, and other objects are an error."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy_agent.victims.report import read_report

EVENT: dict[str, Any] = {
    "metadata": {"name": "web-0.0123456789abcdef", "namespace": "shop"},
    "eventTime": "2026-11-25T12:00:00.000001Z",
    "reason": "OOMVictimKilled",
    "note": "killed",
    "regarding": {"kind": "Pod", "uid": "uid", "fieldPath": "spec.containers{app}"},
    "related": {"kind": "OOMPolicy", "name": "web"},
}


def test_report_has_the_parts_of_its_event() -> None:
    report = read_report(EVENT, {"pod": "web-0"})

    assert "shop" == report.namespace
    assert "web-0.0123456789abcdef" == report.name
    assert ("uid", "spec.containers{app}", "web") == report.key
    assert 1_795_608_000_000_001_000 == report.killed_ns
    assert 1 == report.victims
    assert EVENT == report.manifest


def test_report_of_a_process_of_the_host_has_no_container_and_no_policy() -> None:
    without = {key: value for key, value in EVENT.items() if key != "related"}
    report = read_report({**without, "regarding": {"kind": "Node", "uid": "node-1"}}, {})

    assert ("node-1", "", "") == report.key


def test_report_of_several_victims_has_a_series() -> None:
    """The last observed time never lies before the time of the first victim."""
    report = read_report(EVENT, {})

    assert report is report.standing_for(0, 0)
    assert {"count": 5, "lastObservedTime": EVENT["eventTime"]} == report.standing_for(4, 0).manifest["series"]
    later = report.standing_for(1, 1_795_608_059_000_000_000).manifest["series"]
    assert {"count": 2, "lastObservedTime": "2026-11-25T12:00:59.000000Z"} == later


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": {}},
        {"metadata": {"name": "x"}},
        {"regarding": None},
        {"regarding": {"name": "x"}},
        {"reason": None},
        {"note": None},
        {"eventTime": None},
        {"eventTime": "yesterday"},
        {"related": "policy"},
        {"related": {}},
    ],
    ids=str,
)
def test_object_that_is_no_event_of_a_victim_is_an_error(wrong: dict[str, Any]) -> None:
    """The spool then drops the file, before the report is offered to the sink."""
    with pytest.raises(ValueError):  # noqa: PT011 (each message is another one)
        read_report(EVENT | wrong, {})
