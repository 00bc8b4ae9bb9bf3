# SPDX-License-Identifier: Apache-2.0
"""Read the priorities that a pod's annotations ask for. No policy is checked yet.

`oompolicy.dev/priority` is for the pod, and `oompolicy.dev/container.<name>` is for one container.
The name of an annotation has at most 63 characters after the slash, so an annotation cannot name a container whose name
is longer than 53 characters. An offset in a policy can.
"""

import re
from dataclasses import dataclass
from typing import Final

from oompolicy.model import MAX_PRIORITY, MIN_PRIORITY, Pod, Refusal

PREFIX: Final = "oompolicy.dev/"
POD_ANNOTATION: Final = f"{PREFIX}priority"
CONTAINER_ANNOTATION: Final = f"{PREFIX}container."

# One spelling for each number, and no number so long that int() would take its time.
_CANONICAL = re.compile(r"0|[1-9][0-9]{0,3}")
_SHOWN = 40
_UNKNOWN: Final = f"unknown annotation; known are {POD_ANNOTATION} and {CONTAINER_ANNOTATION}<name>"


@dataclass(frozen=True, slots=True)
class Ask:
    """A well-formed annotation. `container` is `None` for the annotation of the pod itself."""

    annotation: str
    value: str
    priority: int
    container: str | None

    def refused(self, message: str) -> Refusal:
        """Return the refusal of this annotation."""
        return Refusal(self.annotation, self.value, message)


@dataclass(frozen=True, slots=True)
class Annotations:
    """The well-formed and the malformed annotations of a pod, both sorted by annotation."""

    asks: tuple[Ask, ...]
    malformed: tuple[Refusal, ...]


def importance(annotation: str) -> tuple[bool, bool, str]:
    """Return a sort key that puts the annotations first that most likely are meant for oompolicy."""
    return annotation != POD_ANNOTATION, not annotation.startswith(CONTAINER_ANNOTATION), annotation


def read_annotations(pod: Pod) -> Annotations:
    """Return the annotations of a pod that have the prefix of oompolicy."""
    containers = frozenset(each.name for each in pod.containers)
    ours = sorted((key, value) for key, value in pod.annotations.items() if key.startswith(PREFIX))
    read = [_read(key, value, containers) for key, value in ours]
    return Annotations(
        asks=tuple(each for each in read if isinstance(each, Ask)),
        malformed=tuple(each for each in read if isinstance(each, Refusal)),
    )


def _read(annotation: str, value: str, containers: frozenset[str]) -> Ask | Refusal:
    container = annotation.removeprefix(CONTAINER_ANNOTATION) if annotation.startswith(CONTAINER_ANNOTATION) else None
    if container is None and annotation != POD_ANNOTATION:
        return Refusal(annotation, value, _UNKNOWN)
    if container is not None and container not in containers:
        return Refusal(annotation, value, f"the pod has no container {container!r}")
    number = int(value) if _CANONICAL.fullmatch(value) else None
    if number is None or number > MAX_PRIORITY:
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        return Refusal(annotation, value, f"{shown!r} is not a plain integer from {MIN_PRIORITY} to {MAX_PRIORITY}")
    return Ask(annotation, value, number, container)
