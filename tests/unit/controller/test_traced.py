# SPDX-License-Identifier: Apache-2.0
"""A watch is delayed if the watches before it did not last, and `failing_for` is the age of a failure."""

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


def test_the_delay_grows_while_watches_do_not_last() -> None:
    """kopf itself starts the next watch at once, whether the API server cut the last one or answered 410."""
    clock = Clock()
    made = traced(clock)
    pauses = []
    for _ in range(9):
        pauses.append(made.pause())
        clock.now += pauses[-1] + 0.1
    clock.now += 10.0

    assert [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == pauses
    assert 0.0 == made.pause()


def test_the_age_of_a_failure_counts_from_the_first_of_several() -> None:
    """The age is 0 while the watch works."""
    clock = Clock()
    made = traced(clock)
    clock.now += 5.0
    assert 5.0 == made.failing_for
    made.failing = None
    clock.now += 5.0
    assert 0.0 == made.failing_for
    made.fail("403 Forbidden")
    clock.now += 5.0
    made.fail("404 Not Found")

    assert 5.0 == made.failing_for
    assert f"{PATH}: 404 Not Found" == made.failing
