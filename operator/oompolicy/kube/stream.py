# SPDX-License-Identifier: Apache-2.0
"""An answer that goes on: one JSON object per line, as a watch gives them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import urllib3

from oompolicy.kube.errors import SilentError, UnreachableError, decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 1 << 16
"""Bytes read at once; the API server sends each event as a chunk of its own anyway."""


class Stream:
    """Iterate it in one thread. `close()` from any other ends the iteration at once and without an error."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Until the server ends the answer. SilentError; UnreachableError: it broke, or is no API server's."""
        for line in self._lines():
            if self._closed:
                return
            yield _object(line)

    def close(self) -> None:
        """End the iteration, also one that waits for the server."""
        self._closed = True
        # The reader may be done, and its socket gone: then there is nothing left to end.
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
        # ValueError: the TLS layer was shut down between two reads of it.
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed:
                raise UnreachableError(f"the stream broke: {error}") from error
        finally:
            self._response.close()


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = decoded(line)
    except ValueError as error:
        raise UnreachableError(f"the stream is no API server's: {error}") from error
    if not isinstance(found, dict):
        raise UnreachableError("the stream is no API server's: a line of it is no JSON object")
    return found
