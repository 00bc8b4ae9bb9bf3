# SPDX-License-Identifier: Apache-2.0
"""One hostile request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
YAML = "application/yaml"


@dataclass(frozen=True)
class Case:
    """A request that writes one object.

    `fields` are the paths that are hostile, of which a refusal has to name one. It is empty if the body cannot be read
    at all. `then` are the requests that follow if this one is accepted, such as the status of a pod.
    """

    kind: str
    name: str
    method: str
    path: str
    body: bytes
    fields: tuple[str, ...] = ()
    content_type: str = "application/json"
    query: dict[str, str] = field(default_factory=lambda: {"fieldValidation": "Strict"})
    then: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of the API server. `message` is that of a refusal, and `stored` is the object after an acceptance."""

    case: Case
    status: int
    message: str
    stored: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """True if the API server did what the request wanted."""
        return self.status < 300
