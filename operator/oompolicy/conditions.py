# SPDX-License-Identifier: Apache-2.0
"""Builds the conditions of OOMPolicy and OOMNode (metav1.Condition). Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from oompolicy.text import clip
from oompolicy.timestamps import api_time

MESSAGE_LENGTH: Final = 1024
"""The length of a message. People read it, so the limit is far below the 32,768 characters of metav1.Condition."""

TRANSITION: Final = "lastTransitionTime"


def condition(kind: str, status: bool, reason: str, message: str) -> dict[str, str]:
    """Return a condition without its time of transition. A long message is shortened."""
    return {
        "type": kind,
        "status": "True" if status else "False",
        "reason": reason,
        "message": clip(message, MESSAGE_LENGTH),
    }


def transition_time(made: Mapping[str, str], before: Mapping[str, Any] | None, now: datetime) -> str:
    """Return the time of the last transition.

    `before` is the present condition of the same type. Its time stays as long as the status stays.
    """
    since = before.get(TRANSITION) if before and before.get("status") == made["status"] else None
    # An older definition lets a user write a list, and the API server refuses that list as a text.
    return since if isinstance(since, str) and since else api_time(now)
