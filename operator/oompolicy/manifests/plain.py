# SPDX-License-Identifier: Apache-2.0
"""Read a YAML document without tags, anchors and merges in one pass, as `kubectl get -o yaml` prints it.

PyYAML builds a tree of nodes before it builds values. For the YAML of 2,000 pods that takes several times as long as
the parser itself, and hundreds of megabytes. This module builds the values from the events of the parser.

It never reads a document differently from `dialect`. If a document needs more, or contains a mistake, this module
returns `UNREAD`. `dialect` then reads the document again and reports the mistake.
"""

from collections.abc import Iterable
from typing import Any, Final

import yaml
from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from oompolicy.manifests.scalars import Scalar, go_value, json_value, key_of

UNREAD: Final = object()
"""The result for a document that this module does not read."""
_MERGE: Final = "<<"
_IGNORED: Final = frozenset({yaml.events.StreamStartEvent, StreamEndEvent, yaml.events.DocumentEndEvent})

_Open = list[Any] | dict[str, Any]


class _NotPlainError(Exception):
    """The document needs the other reader."""


def read_plain(text: str, loader: type[yaml.SafeLoader], max_depth: int) -> object:
    """Return the only document of `text`, None if there is none, or `UNREAD`."""
    try:
        return _read(yaml.parse(text, loader), max_depth)
    except (_NotPlainError, yaml.YAMLError, ValueError):
        return UNREAD


def _read(events: Iterable[yaml.Event], max_depth: int) -> object:
    """Build the value from the events. Each open collection waits in `outer` with the key of the next value."""
    root: list[Any] = []
    outer: list[tuple[_Open, str | None]] = []
    inner: _Open = root
    key: str | None = None
    scalars = _Scalars()
    documents = 0
    for event in events:
        kind = type(event)
        if kind is ScalarEvent:
            if isinstance(inner, dict) and key is None:
                key = scalars.key(event, inner)
                continue
            value: Any = scalars.value(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            value = {} if kind is MappingStartEvent else []
            _check_collection(event, is_key=isinstance(inner, dict) and key is None)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            inner, key = outer.pop()
            continue
        else:
            documents += kind is DocumentStartEvent
            if documents > 1 or (kind is not DocumentStartEvent and kind not in _IGNORED):
                raise _NotPlainError
            continue
        if isinstance(inner, dict):
            inner[key] = value  # type: ignore[index] # a mapping has a key here
        else:
            inner.append(value)
        if kind is ScalarEvent:
            key = None
        else:
            outer.append((inner, None))
            inner, key = value, None
            if len(outer) > max_depth:
                raise _NotPlainError
    return root[0] if root else None


def _check_collection(event: Any, *, is_key: bool) -> None:  # noqa: ANN401 (PyYAML's events have no common type)
    if is_key or event.anchor is not None or event.tag is not None:
        raise _NotPlainError


class _Scalars:
    """Values and keys of scalars. Both are kept by their text, because a list of pods repeats most of them."""

    def __init__(self) -> None:
        self._values: dict[str, Scalar] = {}
        self._keys: dict[str, str] = {}

    def value(self, event: Any) -> Scalar:  # noqa: ANN401
        """Return the value of a scalar."""
        text: str = event.value
        if event.anchor is not None or event.tag is not None:
            raise _NotPlainError
        if not event.implicit[0]:
            return text
        if text not in self._values:
            self._values[text] = json_value(go_value(text))
        return self._values[text]

    def key(self, event: Any, members: dict[str, Any]) -> str:  # noqa: ANN401
        """Return the name of a key that `members` does not have yet."""
        text: str = event.value
        plain = event.implicit[0]
        if event.anchor is not None or event.tag is not None or (plain and text == _MERGE):
            raise _NotPlainError
        name = self._keys.get(text) if plain else text
        if name is None:
            name = self._keys[text] = key_of(text)
        if name in members:
            raise _NotPlainError
        return name
