# SPDX-License-Identifier: Apache-2.0
"""Judges the API server's answer to an Event: where it goes from here. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from oompolicy.kube.errors import ApiError, UnreachableError


class Outcome(NamedTuple):
    """What became of a request.

    `done`   the API server has it
    `gone`   it never will: there is no place for it any more, or it is not valid
    `later`  it refuses this one, and may take others
    `unsent` it was not asked: others would wait for what is for this namespace
    `again`  it takes nothing right now, for `after` seconds at least; `elsewhere` says whether it may be that it takes
             what is for another namespace
    """

    kind: Literal["done", "gone", "later", "unsent", "again"]
    sentence: str = ""
    after: float = 0.0
    elsewhere: bool = False


DONE = Outcome("done")

_ADMISSION: Final = re.compile(r"\bdenied (the )?request\b")
"""How the API server marks a refusal of an admission webhook or policy, which chooses status and reason as it likes.

Source: apiserver/pkg/admission/plugin, webhook/errors/statuserror.go and policy/validating/dispatcher.go.
"""
_FIELD_CAUSE: Final = "FieldValue"
"""How the causes of apimachinery's validation begin (meta/v1, CauseType). The cause of an admission policy has none."""


def judge(error: ApiError | UnreachableError) -> Outcome:
    """What a failure means."""
    if isinstance(error, UnreachableError):
        return Outcome("again", str(error), elsewhere=True)
    # A rule may be for one namespace alone, and somebody may mend it: neither final, nor a reason to stop for all.
    if _ADMISSION.search(error.message):
        return Outcome("later", str(error))
    # The Event of an earlier try, whose answer never came: its name is the victim's.
    if error.status == 409 and error.reason == "AlreadyExists":
        return DONE
    # 401: our token is too old for everything. The others: the server is busy, or is not there behind its proxy.
    # Not 500, which a broken admission webhook says, maybe for one namespace only.
    if error.status in (401, 408, 429, 502, 503, 504):
        # 504: its webhooks together took longer than a request may. 429 is said of what we send, not of where to.
        return Outcome("again", str(error), error.retry_after or 0.0, elsewhere=error.status in (408, 504))
    return Outcome("gone" if _is_final(error) else "later", str(error))


def _is_final(error: ApiError) -> bool:
    """The namespace is gone or going (plugin NamespaceLifecycle), an update's Event has expired, or it is not valid.

    A 404 without the API server's reason is a proxy's.
    """
    if "NamespaceTerminating" in error.causes or (error.status == 404 and error.reason == "NotFound"):
        return True
    fields = not error.causes or any(cause.startswith(_FIELD_CAUSE) for cause in error.causes)
    return error.status == 422 and error.reason == "Invalid" and fields
