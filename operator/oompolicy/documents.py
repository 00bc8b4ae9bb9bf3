# SPDX-License-Identifier: Apache-2.0
"""Read the documents of a file: YAML, one or many, or JSON.

Plainer than PyYAML's own reading, so that a document is always JSON: dates stay strings. Stricter too: a key
given twice is an error, as it is to the API server, and not a value lost in silence.
"""

import json
import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from oompolicy.problems import Problem

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    # libyaml is about ten times as fast, and not in every build of PyYAML.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

STANDARD_INPUT: Final = Path("-")
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_NO_JSON: Final = frozenset({"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"})
_MERGE: Final = "tag:yaml.org,2002:merge"
# What JSON has no word for; without a constructor an explicit tag is an error with its line.
_NO_CONSTRUCTOR: Final = frozenset(
    f"tag:yaml.org,2002:{tag}" for tag in ("timestamp", "binary", "set", "omap", "pairs")
)

_LONE: Final = re.compile("[\ud800-\udfff]")

# libyaml builds the document by recursion in C: some 10,000 levels end the process. Objects have about 20.
_MAX_DEPTH: Final = 200


class _Loader(_Base):
    """A safe loader that refuses a key given twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name and shape
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NO_JSON]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 - PyYAML's name and shape
        tag: constructor for tag, constructor in _Base.yaml_constructors.items() if tag not in _NO_CONSTRUCTOR
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != _MERGE and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def files_of(path: Path) -> list[Path]:
    """`path` itself, or of a directory the manifests in it: not hidden, not below it, sorted. May raise `OSError`."""
    if path == STANDARD_INPUT or not path.is_dir():
        return [path]
    found = (file for file in path.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith("."))
    return sorted(file for file in found if not file.is_dir())


def read_documents(file: Path) -> tuple[list[object], list[Problem]]:
    """The documents of a file, without empty ones. If any cannot be read, none is used."""
    try:
        data = sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
        return _parse(data.decode("utf-8-sig")), []
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: {error.reason} at byte {error.start}"
    except yaml.YAMLError as error:
        message = _explained(error)
    except RecursionError:
        message = "is nested too deeply"
    except (ValueError, KeyError) as error:
        # From int(), float() and the like: `!!int seven`, a number of 5,000 digits.
        message = f"holds a value that cannot be read: {error}"
    return [], [Problem(str(file), "", "", message)]


def _parse(text: str) -> list[object]:
    if text.lstrip().startswith("{"):
        try:
            return [_whole(json.loads(text, object_pairs_hook=_object))]
        except json.JSONDecodeError:
            # YAML may begin like this as well, and its reader says what is wrong.
            pass
    _check_nesting(text)
    return [document for document in yaml.load_all(text, _Loader) if document is not None]


def _whole(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with U+FFFD for each half of a surrogate pair, as Kubernetes reads it: it cannot be written as UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {_whole(key): _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def _check_nesting(text: str) -> None:
    """Refuse what nests too deeply, or in itself: neither can be written as JSON."""
    anchors: list[str | None] = []
    for event in yaml.parse(text, _Loader):
        if isinstance(event, CollectionStartEvent):
            anchors.append(event.anchor)
        elif isinstance(event, CollectionEndEvent):
            anchors.pop()
        elif isinstance(event, AliasEvent) and event.anchor in anchors:
            raise yaml.YAMLError(f"{_line_of(event)}*{event.anchor} is within itself")
        if len(anchors) > _MAX_DEPTH:
            raise yaml.YAMLError(f"{_line_of(event)}is nested too deeply")


def _line_of(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}: " if event.start_mark else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise yaml.YAMLError(f"the key {key!r} is given twice")
        members[key] = value
    return members


def _explained(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return " ".join(str(error).split())
