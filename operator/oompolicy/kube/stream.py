# SPDX-License-Identifier: Apache-2.0
"""The endless answer to a watch request, with one JSON object per line."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import urllib3

from oompolicy.kube.errors import SilentError, UnreachableError
from oompolicy.kube.nesting import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 1 << 16
"""Bytes to read at once. The API server sends each event as a separate chunk."""


class Stream:
    """A stream of objects, for one thread. `close` from another thread ends the iteration at once without an error."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield objects until the server ends the answer.

        Raise SilentError if it is silent, and UnreachableError if it breaks or does not come from an API server.
        """
        for line in self._lines():
            if self._closed:
                return
            yield _object(line)

    def close(self) -> None:
        """End the iteration, even while it waits for the server."""
        self._closed = True
        # These errors mean that the reader has ended and its socket is closed.
        with suppress(OSError, RuntimeError, ValueError):
            self._response.shutdown()

    def _lines(self) -> Iterator[bytes]:
        unfinished = b""
        try:
            for piece in self._response.stream(_PIECE, decode_content=False):
                *lines, unfinished = (unfinished + piece).split(b"\n")
                yield from filter(None, lines)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise SilentError(f"the stream is silent: {error}") from error
        # ValueError means that the TLS layer was shut down between two reads.
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed:
                raise UnreachableError(f"the stream broke: {error}") from error
        finally:
            self._response.close()


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = read_whole(line)
    except ValueError as error:
        raise UnreachableError(f"the stream does not come from an API server: {error}") from error
    if not isinstance(found, dict):
        raise UnreachableError("the stream does not come from an API server: a line is not a JSON object")
    return found
