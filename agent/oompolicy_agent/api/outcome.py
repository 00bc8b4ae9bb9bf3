# SPDX-License-Identifier: Apache-2.0
"""Decides the outcome of an Event from the API server's answer to it. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from oompolicy.kube.errors import ApiError, UnreachableError


class Outcome(NamedTuple):
    """The result of a request for one Event.

    `done`         The API server has stored it.
    `obsolete`     The API server will never store it: its namespace or Event no longer exists, or it is not valid.
    `rejected`     The API server refuses this Event, and may accept others.
    `unsent`       It was not sent, because a request to this namespace delays the Events of the others.
    `unavailable`  The API server accepts nothing now, for at least `after` seconds. If `elsewhere` is true, it may
                   accept Events of another namespace.
    """

    kind: Literal["done", "obsolete", "rejected", "unsent", "unavailable"]
    sentence: str = ""
    after: float = 0.0
    elsewhere: bool = False


DONE = Outcome("done")

_ADMISSION: Final = re.compile(r"\bdenied (the )?request\b")
"""The mark of a refusal by an admission webhook or policy, which can choose any status and reason.

Source: apiserver/pkg/admission/plugin, webhook/errors/statuserror.go and policy/validating/dispatcher.go.
"""
_FIELD_CAUSE: Final = "FieldValue"
"""The prefix of the causes of apimachinery's validation (meta/v1, CauseType). An admission policy's cause has none."""


def judge(error: ApiError | UnreachableError) -> Outcome:
    """Return the outcome of a request that failed."""
    if isinstance(error, UnreachableError):
        return Outcome("unavailable", str(error), elsewhere=True)
    # An admission rule may affect one namespace only, and may be corrected. So the refusal is not final, and the
    # Events of other namespaces need not wait.
    if _ADMISSION.search(error.message):
        return Outcome("rejected", str(error))
    # The Event of an earlier try whose answer was lost: its name belongs to this victim.
    if error.status == 409 and error.reason == "AlreadyExists":
        return DONE
    # 401: the token has expired, which affects all requests. The others: the server is overloaded, or the proxy in
    # front does not reach it. 500 is not among them: a broken admission webhook answers so, maybe for one namespace.
    if error.status in (401, 408, 429, 502, 503, 504):
        # 504: the webhooks together took longer than a request may. 429 depends on the sender, not on the namespace.
        return Outcome("unavailable", str(error), error.retry_after or 0.0, elsewhere=error.status in (408, 504))
    return Outcome("obsolete" if _is_final(error) else "rejected", str(error))


def _is_final(error: ApiError) -> bool:
    """Return True if no further try can succeed.

    That is so if the namespace is deleted or terminating (plugin NamespaceLifecycle), if the Event to update has
    expired, or if the Event is not valid. A 404 without the API server's reason comes from a proxy.
    """
    if "NamespaceTerminating" in error.causes or (error.status == 404 and error.reason == "NotFound"):
        return True
    fields = not error.causes or any(cause.startswith(_FIELD_CAUSE) for cause in error.causes)
    return error.status == 422 and error.reason == "Invalid" and fields
