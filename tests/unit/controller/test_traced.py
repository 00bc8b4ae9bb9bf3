# SPDX-License-Identifier: Apache-2.0
"""kopf's watch is held back where the ones before did not last, and its failures have an age."""

from __future__ import annotations

from oompolicy.controller.traced import Traced

PATH = "/apis/oompolicy.dev/v1alpha1/oompolicies"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def traced(clock: Clock) -> Traced:
    return Traced(PATH, clock, lambda _, longest: longest)


def test_watches_that_do_not_last_are_begun_less_and_less_often() -> None:
    """kopf itself begins the next at once, whether the API server cut it or said 410."""
    clock = Clock()
    made = traced(clock)
    pauses = []
    for _ in range(9):
        pauses.append(made.pause())
        clock.now += pauses[-1] + 0.1
    clock.now += 10.0

    assert [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == pauses
    assert 0.0 == made.pause()


def test_a_failure_has_an_age() -> None:
    """From the first of several in a row."""
    clock = Clock()
    made = traced(clock)
    clock.now += 5.0
    assert 5.0 == made.failing_for
    made.failing = ""
    clock.now += 5.0
    assert 0.0 == made.failing_for
    made.fail("403 Forbidden")
    clock.now += 5.0
    made.fail("404 Not Found")

    assert (5.0, f"{PATH}: 404 Not Found") == (made.failing_for, made.failing)
