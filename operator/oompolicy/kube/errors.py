# SPDX-License-Identifier: Apache-2.0
"""The two ways in which a request fails.

ApiError          the API server said no
UnreachableError  nobody answered, or what did was no API server
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXCERPT = 200
"""Characters of an answer that is no Status: enough to see whose error page it is."""


class ApiError(Exception):
    """The API server refused. `retry_after` is in seconds, `None` where the server did not say.

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


def from_status(status: Mapping[str, Any]) -> ApiError:
    """The error that a `Status` object (meta/v1) states, such as the object of a watch's ERROR event."""
    details = status.get("details") or {}
    seconds = details.get("retryAfterSeconds")
    return ApiError(
        status.get("code") or 500,
        status.get("reason") or "Unknown",
        status.get("message") or "the API server gave no reason",
        float(seconds) if seconds else None,
        tuple(cause.get("reason", "") for cause in details.get("causes") or ()),
    )


def from_answer(code: int, phrase: str | None, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an HTTP answer states; its Retry-After, in seconds, counts before that of the body."""
    error = from_status(_status_of(code, phrase, body))
    header = headers.get("Retry-After", "")
    if header.isdecimal():
        error.retry_after = float(header)
    return error


def _status_of(code: int, phrase: str | None, body: bytes) -> Mapping[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    text = " ".join(body.decode(errors="replace").split())[:_EXCERPT]
    return {"code": code, "reason": phrase, "message": text}
