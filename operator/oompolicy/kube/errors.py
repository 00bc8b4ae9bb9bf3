# SPDX-License-Identifier: Apache-2.0
"""The two ways in which a request fails.

ApiError          the API server said no
UnreachableError  nobody answered, or what did was no API server; SilentError where it had answered before
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_EXCERPT: Final = 200
"""Characters of an answer that is no Status: enough to see whose error page it is."""
LONGEST_RETRY_AFTER: Final = 300.0
"""Seconds: a server that asks for more gets a question earlier. A proxy's page may ask for a day, and be gone soon."""


class ApiError(Exception):
    """The API server refused. `retry_after` is in seconds, at most 300, `None` where the server did not say.

    `causes` are reasons beside `reason`, such as NamespaceTerminating beside Forbidden.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes


class UnreachableError(Exception):
    """No answer: refused, reset, timed out, TLS. The message is a sentence."""


class SilentError(UnreachableError):
    """An answer that went on says nothing any more: its server is gone, or there is nothing to say."""


def from_status(status: object, code: int = 500) -> ApiError:
    """The error that a `Status` object (meta/v1) states, such as the object of a watch's ERROR event.

    A field that is not of its type counts as missing, for the answer may be a proxy's. `code` is the HTTP status where
    the object has none.
    """
    said = status if isinstance(status, Mapping) else {}
    details = said.get("details")
    details = details if isinstance(details, Mapping) else {}
    causes = details.get("causes")
    return ApiError(
        _code(said.get("code"), code),
        _text(said.get("reason")) or "Unknown",
        _text(said.get("message")) or "the API server gave no reason",
        _seconds(details.get("retryAfterSeconds")),
        tuple(
            _text(cause.get("reason"))
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, Mapping)
        ),
    )


def from_answer(code: int, phrase: str | None, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an HTTP answer states; its Retry-After, in seconds, counts before that of the body."""
    error = from_status(_status_of(phrase, body), code)
    header = headers.get("Retry-After", "")
    if header.isdecimal():
        error.retry_after = _seconds(float(header))
    return error


def decoded(body: bytes) -> object:
    """JSON as it is in an answer. ValueError: it is none, or is nested so deep that it is no API server's."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _code(code: object, default: int) -> int:
    return code if isinstance(code, int) and 100 <= code <= 999 else default


def _text(text: object) -> str:
    """Without the lone surrogates that JSON allows and no file or answer of ours can hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""


def _seconds(seconds: object) -> float | None:
    """No more than `LONGEST_RETRY_AFTER`; `None` for no wait, and for what is no number (NaN is not above 0)."""
    if isinstance(seconds, int | float) and seconds > 0:
        return float(min(seconds, LONGEST_RETRY_AFTER))
    return None


def _status_of(phrase: str | None, body: bytes) -> Mapping[str, Any]:
    try:
        status = decoded(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    text = " ".join(body.decode(errors="replace").split())[:_EXCERPT]
    return {"reason": phrase, "message": text}
