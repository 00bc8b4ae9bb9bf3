# SPDX-License-Identifier: Apache-2.0
"""The mode of a node follows from OOMSettings, from the labels of the Node and from `OOMNode.spec.mode`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import LabelSelector, Operator, Requirement
from oompolicy.oomsettings import Mode, NodeMode, OOMSettings, ProgramSettings, TieBreak
from oompolicy.resolve.disjoint import implies, satisfiable
from oompolicy.resolve.matching import selects
from oompolicy.resolve.modes import deciding_entry, effective_mode, never_deciding, node_mode, program_settings


def one_of(key: str, *values: str) -> LabelSelector:
    return LabelSelector((Requirement(key, Operator.IN, frozenset(values)),))


def settings(*node_modes: tuple[LabelSelector, Mode], suspend: bool = False) -> OOMSettings:
    return OOMSettings(Mode.AUDIT, suspend, tuple(NodeMode(*each) for each in node_modes))


CANARIES = settings((one_of("pool", "canary"), Mode.ENFORCE), (one_of("pool", "canary", "big"), Mode.OFF))


@pytest.mark.parametrize(
    ("labels", "index", "mode"),
    [({"pool": "canary"}, 0, Mode.ENFORCE), ({"pool": "big"}, 1, Mode.OFF), ({}, None, None)],
)
def test_the_first_entry_that_selects_a_node_decides(
    labels: dict[str, str], index: int | None, mode: Mode | None
) -> None:
    """A node that no entry selects has no mode of its own."""
    assert (index, mode) == (deciding_entry(CANARIES, labels), node_mode(CANARIES, labels))


@pytest.mark.parametrize(
    ("chosen", "of_node", "expected"),
    [
        (settings(), None, Mode.AUDIT),
        (settings(), Mode.ENFORCE, Mode.ENFORCE),
        (settings(suspend=True), None, Mode.OFF),
        (settings(suspend=True), Mode.ENFORCE, Mode.OFF),
    ],
)
def test_suspend_precedes_the_mode_of_a_node_which_precedes_the_mode_of_the_cluster(
    chosen: OOMSettings, of_node: Mode | None, expected: Mode
) -> None:
    """The kill switch also stops a node with a mode of its own."""
    assert expected is effective_mode(chosen, of_node)


def test_entries_that_never_decide_are_found() -> None:
    """Each names the first earlier entry that takes all of its nodes, or nothing if its requirements contradict."""
    exists = LabelSelector((Requirement("pool", Operator.EXISTS),))
    contradiction = LabelSelector((*exists.requirements, Requirement("pool", Operator.DOES_NOT_EXIST)))
    found = never_deciding(
        settings(
            (one_of("pool", "canary", "big"), Mode.ENFORCE),
            (one_of("pool", "big"), Mode.OFF),
            (exists, Mode.OFF),
            (contradiction, Mode.OFF),
            (LabelSelector(), Mode.ENFORCE),
            (one_of("zone", "a"), Mode.OFF),
        )
    )

    assert {1: 0, 3: None, 5: 4} == found


VALUES = ("", "a", "b")
SELECTORS = st.builds(
    lambda given: LabelSelector(tuple(given)),
    st.lists(
        st.builds(
            lambda key, operator, values: Requirement(
                key, operator, values if operator in (Operator.IN, Operator.NOT_IN) else frozenset()
            ),
            st.sampled_from(["k", "l"]),
            st.sampled_from(Operator),
            st.frozensets(st.sampled_from(VALUES), min_size=1),
        ),
        max_size=4,
    ),
)
# "c" stands for each value that no selector names.
ALL_LABELS = [
    {key: value for key, value in (("k", k), ("l", second)) if value is not None}
    for k in (None, *VALUES, "c")
    for second in (None, *VALUES, "c")
]


@given(SELECTORS, SELECTORS)
def test_a_selector_implies_another_if_all_its_labels_fulfil_that_one(
    first: LabelSelector, second: LabelSelector
) -> None:
    """The result is that of a comparison with every possible set of labels."""
    matched = [labels for labels in ALL_LABELS if selects(first, labels)]

    assert bool(matched) == satisfiable(first)
    assert all(selects(second, labels) for labels in matched) == implies(first, second)


@given(st.lists(SELECTORS, max_size=4), st.sampled_from(ALL_LABELS))
def test_an_entry_that_never_decides_decides_for_no_labels(
    selectors: list[LabelSelector], labels: dict[str, str]
) -> None:
    """No set of labels contradicts what is reported to the admin."""
    chosen = settings(*((selector, Mode.OFF) for selector in selectors))

    assert deciding_entry(chosen, labels) not in never_deciding(chosen)


def test_the_programs_of_a_node_have_the_settings_of_the_cluster() -> None:
    settings = OOMSettings(Mode.AUDIT, tie_break=TieBreak.MOST_OVER_REQUEST, minimum_victim_memory=5, host_priority=700)

    assert ProgramSettings(Mode.ENFORCE, TieBreak.MOST_OVER_REQUEST, 5, 700) == program_settings(settings, Mode.ENFORCE)
