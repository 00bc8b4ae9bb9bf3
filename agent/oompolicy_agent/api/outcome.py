# SPDX-License-Identifier: Apache-2.0
"""Judges the API server's answer to an Event: where it goes from here. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from oompolicy.kube.errors import ApiError, UnreachableError


class Outcome(NamedTuple):
    """What became of a request.

    `done`   the API server has it
    `gone`   it never will: there is no place for it any more, or it is not valid
    `later`  it refuses this one, and may take others
    `again`  it takes nothing right now, for `after` seconds at least
    """

    kind: Literal["done", "gone", "later", "again"]
    sentence: str = ""
    after: float = 0.0


DONE = Outcome("done")


def judge(error: ApiError | UnreachableError) -> Outcome:
    """What a failure means."""
    if isinstance(error, UnreachableError):
        return Outcome("again", str(error))
    # The Event of an earlier try, whose answer never came: its name is the victim's.
    if error.status == 409 and error.reason == "AlreadyExists":
        return DONE
    # 401: our token is too old for everything. The others: the server is busy, or is not there behind its proxy.
    # Not 500, which a broken admission webhook says, maybe for one namespace only.
    if error.status in (401, 408, 429, 502, 503, 504):
        return Outcome("again", str(error), error.retry_after or 0.0)
    # The namespace is gone or going (pkg/registry: NamespaceLifecycle), or an update's Event has expired.
    if error.status in (404, 422) or "NamespaceTerminating" in error.causes:
        return Outcome("gone", str(error))
    return Outcome("later", str(error))
