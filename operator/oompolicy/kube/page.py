# SPDX-License-Identifier: Apache-2.0
"""The answer to a list request, read item by item.

An object may have 1.5 MB, and several times as much as JSON. A hundred of them, parsed at once, need more memory than a
program has that keeps a kilobyte of each. Python's parser takes complete texts only. A library for parts of texts would
be one more dependency for the 40 lines of `_Reader`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import urllib3

from oompolicy.kube.errors import UnreachableError
from oompolicy.kube.nesting import read_value

if TYPE_CHECKING:
    from collections.abc import Iterable

_PIECE: Final = 1 << 16
"""Bytes to read at once."""
_SPACE: Final = " \t\r\n"


class Page(Mapping[str, Any]):
    """The fields of a list. `items` is an iterator, and all other fields exist when it has ended.

    The iterator raises UnreachableError if the connection breaks or is silent for too long, or if the answer is not a
    list.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, host: str) -> None:
        self._host = host
        self._fields: dict[str, Any] = {}
        self._items = self._read(response)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any JSON
        return self._items if name == "items" else self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("items", *self._fields))

    def __len__(self) -> int:
        return 1 + len(self._fields)

    def _read(self, response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
        try:
            yield from _Reader(response.stream(_PIECE)).items(self._fields)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"the answer from {self._host} is incomplete: {error}") from error
        except ValueError as error:
            raise UnreachableError(f"{self._host} is not an API server: its answer is not a JSON list") from error
        finally:
            response.close()


class _Reader:
    """A parser of a text that arrives in parts. It raises ValueError if the text is not the JSON object of a list."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._ended = False

    def items(self, fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the members of `items`, and put all other fields into `fields`."""
        self._expect("{")
        while not self._skip("}"):
            name = self._value()
            self._expect(":")
            if name == "items" and self._skip("["):
                yield from self._members()
            else:
                fields[name] = self._value()
            self._skip(",")

    def _members(self) -> Iterator[dict[str, Any]]:
        while not self._skip("]"):
            yield self._value()
            self._skip(",")

    def _value(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the next value as soon as it is complete."""
        enough = 1
        while True:
            while len(self._text) < enough and self._more():
                pass
            self._text = self._text.lstrip(_SPACE)
            try:
                value, end = read_value(self._text)
            except ValueError:
                if self._ended:
                    raise
                # The next try needs twice as much text, so that a long value is not parsed again for each part.
                enough = 2 * max(len(self._text), _PIECE)
                continue
            self._text = self._text[end:]
            return value

    def _expect(self, character: str) -> None:
        if not self._skip(character):
            raise ValueError(f"{character} is missing")

    def _skip(self, character: str) -> bool:
        """Skip the next character if it is `character`. Return True if it was."""
        self._text = self._text.lstrip(_SPACE)
        while not self._text and self._more():
            self._text = self._text.lstrip(_SPACE)
        if self._text[:1] != character:
            return False
        self._text = self._text[1:].lstrip(_SPACE)
        return True

    def _more(self) -> bool:
        """Read the next part. Return False at the end of the text."""
        piece = next(self._pieces, None)
        self._ended = piece is None
        self._text += self._utf8.decode(piece or b"", final=self._ended)
        return not self._ended
