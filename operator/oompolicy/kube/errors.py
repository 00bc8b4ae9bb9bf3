# SPDX-License-Identifier: Apache-2.0
"""The errors of requests.

ApiError          the API server refused the request
UnreachableError  there was no answer, or the answer was not from an API server
SilentError       a stream that was open delivers nothing any more
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from oompolicy.kube.nesting import read_whole

_EXCERPT: Final = 200
"""Characters of an answer without a Status. They are enough to recognize the proxy that sent an error page."""
LONGEST_RETRY_AFTER: Final = 300.0
"""Seconds, even if a server asks for more. A proxy's error page may ask for a day and be gone soon."""


class ApiError(Exception):
    """The API server refused. `retry_after` is in seconds, at most 300, and `None` if the server gave no time.

    `causes` are further reasons, such as NamespaceTerminating for a Forbidden.
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
    """There was no answer: refused, reset, timed out, or TLS failed. The message is a sentence."""


class SilentError(UnreachableError):
    """A stream delivers nothing any more, because its server is gone or has no events."""


def from_status(status: object, code: int = 500) -> ApiError:
    """Make the error that a `Status` object (meta/v1) states, such as the object of a watch's ERROR event.

    A field of a wrong type counts as missing, because the answer may be a proxy's. `code` is the HTTP status for an
    object without a code.
    """
    fields = status if isinstance(status, Mapping) else {}
    details = fields.get("details")
    details = details if isinstance(details, Mapping) else {}
    causes = details.get("causes")
    return ApiError(
        _code(fields.get("code"), code),
        _text(fields.get("reason")) or "Unknown",
        _text(fields.get("message")) or "the API server gave no reason",
        _seconds(details.get("retryAfterSeconds")),
        tuple(
            _text(cause.get("reason"))
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, Mapping)
        ),
    )


def from_answer(code: int, phrase: str | None, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error that an HTTP answer states. Its Retry-After, in seconds, counts before that of the body."""
    error = from_status(_status_of(phrase, body), code)
    header = headers.get("Retry-After", "")
    if header.isdecimal():
        error.retry_after = _seconds(float(header))
    return error


def _code(code: object, default: int) -> int:
    return code if isinstance(code, int) and 100 <= code <= 999 else default


def _text(text: object) -> str:
    """Replace lone surrogates, which JSON allows and UTF-8 cannot hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""


def _seconds(seconds: object) -> float | None:
    """Return at most `LONGEST_RETRY_AFTER`, and `None` for anything but a number above 0."""
    if isinstance(seconds, int | float) and seconds > 0:
        return float(min(seconds, LONGEST_RETRY_AFTER))
    return None


def _status_of(phrase: str | None, body: bytes) -> Mapping[str, Any]:
    try:
        status = read_whole(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    text = " ".join(body.decode(errors="replace").split())[:_EXCERPT]
    return {"reason": phrase, "message": text}
