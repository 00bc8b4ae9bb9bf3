# SPDX-License-Identifier: Apache-2.0
"""JSON of the API server can be read, however deep it is nested."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.kube.nesting import DEPTH, read_value, read_whole

DEEP = "[" * 20_000 + "]" * 20_000
"""More levels than the API server stores, and than any version of Python reads."""
LEAVES = st.text() | st.integers() | st.none()
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.text(), inner, max_size=3))


def depth(value: Any) -> int:  # noqa: ANN401 - JSON
    return 1 + depth(value[0]) if isinstance(value, list) and value else int(isinstance(value, list))


@given(before=VALUES, after=VALUES)
def test_all_but_the_deepest_levels_is_read(before: object, after: object) -> None:
    """Values beside the deep one stay as they are, also if they have brackets and escapes in their texts."""
    text = f'{{"before": {json.dumps(before)}, "deep": {DEEP}, "after": {json.dumps(after)}}}'
    read = read_whole(text.encode())

    assert (before, after) == (read["before"], read["after"])
    assert DEPTH - 1 == depth(read["deep"])


@given(value=VALUES)
def test_the_end_of_a_value_is_the_end_of_its_text(value: object) -> None:
    """More text can follow, such as the next item of a list."""
    text = json.dumps([value]) + ' , "]"'
    deep = f"[{json.dumps(value)}, {DEEP}]"

    assert ([value], len(text) - 6) == read_value(text)
    assert len(deep) == read_value(deep + ' , "]"')[1]


@pytest.mark.parametrize("end", ["", '"a]]', '"\\', ',"' + "]" * 20_000])
def test_a_value_that_has_not_ended_is_incomplete(end: str) -> None:
    """Brackets in a text that has not ended do not count."""
    with pytest.raises(ValueError, match="incomplete"):
        read_value("[" * 20_000 + end)


def test_two_values_are_not_one() -> None:
    """An API server answers with one."""
    with pytest.raises(ValueError, match="more than one"):
        read_whole(f"{DEEP} {{}}".encode())
