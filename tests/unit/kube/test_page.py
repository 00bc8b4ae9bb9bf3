# SPDX-License-Identifier: Apache-2.0
"""A list is read item by item, from parts of any size."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.kube.errors import UnreachableError
from oompolicy.kube.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = st.text(max_size=8)
VALUES = st.recursive(TEXTS | st.integers() | st.none(), lambda inner: st.dictionaries(TEXTS, inner, max_size=3))
METADATA = {"resourceVersion": "5"}


class Pieces(urllib3.HTTPResponse):
    """An answer that arrives in these parts."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__(io.BytesIO(), preload_content=False)
        self.pieces = pieces

    def stream(self, *_: object) -> Iterator[bytes]:  # type: ignore[override]
        yield from self.pieces


def cut(data: bytes, *places: int) -> Pieces:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)} - {0})
    return Pieces(*(data[start:end] for start, end in zip([0, *ends], ends, strict=False)))


def read(response: Pieces) -> tuple[list[Any], dict[str, Any]]:
    page = Page(response, "https://server")
    items = list(page["items"])
    return items, {name: page[name] for name in page if name != "items"}


@given(
    st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.booleans(),
)
def test_the_parts_of_the_text_do_not_change_the_list(
    items: list[dict[str, Any]], places: list[int], indent: int | None, ascii_only: bool, first: bool
) -> None:
    """Spaces, split characters, and the order of items and metadata do not matter."""
    whole = {"items": items, "kind": "PodList"} | {"metadata": METADATA}
    fields = whole if first else dict(reversed(whole.items()))
    data = json.dumps(fields, indent=indent, ensure_ascii=ascii_only).encode()

    assert (items, {"kind": "PodList", "metadata": METADATA}) == read(cut(data, *places))


@pytest.mark.parametrize("text", ['{"items": null, "metadata": {}}', '{"metadata": {}}', ' { "metadata" : { } } \n'])
def test_a_list_may_have_no_items(text: str) -> None:
    """A server without items may send null or no field."""
    assert [] == read(cut(text.encode()))[0]
    assert {} == read(cut(text.encode()))[1]["metadata"]


@pytest.mark.parametrize(
    "text", ["", "[]", "<html>", "{", '{"items": [', '{"items": [{"a": 1}, {"b"', '{"items": [{}], "metadata"', "{]}"]
)
def test_an_incomplete_list_raises(text: str) -> None:
    """The items before the break must not be taken for the complete list."""
    with pytest.raises(UnreachableError):
        read(cut(text.encode(), 5, 9))


def test_only_one_item_is_in_memory() -> None:
    """60 items of 1.4 MB are 84 MB in one answer, and more as objects."""
    item = json.dumps({"env": "x" * 1_400_000}).encode()
    pieces = [item[start : start + 65_536] for start in range(0, len(item), 65_536)]
    answer = [b'{"metadata": {}, "items": [', *([*pieces, b","] * 60), *pieces, b"]}"]
    page = Page(Pieces(*answer), "https://server")
    tracemalloc.start()
    try:
        assert 61 == sum(1 for _ in page["items"])
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_an_item_of_any_depth_does_not_hide_the_others() -> None:
    """The API server stores up to 10,000 levels of `managedFields`, also in a pod of any user."""
    deep = '{"metadata": {"uid": "a", "managedFields": ' + "[" * 9_990 + "]" * 9_990 + '}, "kind": "Pod"}'
    data = f'{{"items": [{deep}, {{"metadata": {{"uid": "b"}}}}], "metadata": {{}}}}'.encode()
    items = list(Page(cut(data, 7_000), "here")["items"])

    assert ["a", "b"] == [each["metadata"]["uid"] for each in items]
    assert "Pod" == items[0]["kind"]
