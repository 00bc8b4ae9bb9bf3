# SPDX-License-Identifier: Apache-2.0
"""Read the comments of values.yaml, which describe the value below them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY: Final = re.compile(r"( *)([\w-]+):")
_COMMENT: Final = re.compile(r" *# ?(.*)")
_INDENT: Final = 2


@dataclass(frozen=True)
class Value:
    """A key with a comment: `path` is the path from the top, and `default` is None for a group of keys."""

    path: tuple[str, ...]
    comment: str
    default: str | None

    @property
    def is_section(self) -> bool:
        """A key at the top that has keys of its own."""
        return len(self.path) == 1 and self.default is None


def read_values(text: str) -> Iterator[Value]:
    """Yield each key that has a comment, in the order of the file. Keys of Kubernetes have none."""
    values, path, comment = yaml.safe_load(text), [""], list[str]()
    for line in text.splitlines():
        if found := _COMMENT.fullmatch(line):
            comment.append(found[1])
        elif not line.strip():
            comment = []
        elif found := _KEY.match(line):
            path[len(found[1]) // _INDENT :] = [found[2]]
            if comment:
                yield Value(tuple(path), " ".join(comment), _default(values, path))
            comment = []


def _default(values: Any, path: list[str]) -> str | None:  # noqa: ANN401 - YAML
    for key in path:
        values = values[key]
    # A map with comments of its own is a group, and the maps with names of Kubernetes are values.
    if isinstance(values, dict) and values and path[-1] not in {"requests", "limits", "labels"}:
        return None
    return json.dumps(values)
