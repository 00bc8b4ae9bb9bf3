# SPDX-License-Identifier: Apache-2.0
"""Read the text of a file into documents, as kubectl does: YAML, or JSON objects one after another, or both.

The model is YAMLOrJSONDecoder of k8s.io/apimachinery/pkg/util/yaml. `tests/cluster/test_reading.py` compares both
and lists the differences. For example, a repeated key is an error here, and kubectl takes the last one.

PyYAML's own rules for scalars are another dialect, so only its parser is used. ruamel.yaml reads YAML 1.2, a third one.
"""

import json
import re
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

from oompolicy.manifests.plain import UNREAD, read_plain
from oompolicy.manifests.scalars import Scalar, go_value, json_value, key_of

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    # libyaml is about ten times as fast, and not in every build of PyYAML.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = f"{_TAG}plain"  # of our own: a scalar without quotes and without a tag
_MERGE: Final = f"{_TAG}merge"
_SEPARATOR: Final = "---"
_SEPARATOR_LINE: Final = re.compile(rf"^{_SEPARATOR}(.*)(?:\n|\Z)", re.MULTILINE)
# libyaml builds the document by recursion in C: some 10,000 levels end the process. Objects have about 20.
_MAX_DEPTH: Final = 200
# Ten lines of aliases to aliases are a billion values.
_MAX_VALUES: Final = 400_000
_SPACES: Final = re.compile(r"[ \t\r\n]*")
_LINE_END: Final = re.compile(r"[^\S\n]*\n?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK: Final = "\ufeff"


def parse_documents(text: str) -> list[object]:
    """Return the documents of `text` as JSON values, without empty ones. Raise `YAMLError` or `ValueError`."""
    documents, position = _json_documents(text) if text.lstrip().startswith("{") else ([], 0)
    rest = text[position:].removeprefix(_BYTE_ORDER_MARK)
    for line, chunk in _chunks(rest, text.count("\n", 0, position)):
        try:
            documents += _yaml_documents(chunk)
        except yaml.MarkedYAMLError as error:
            raise yaml.YAMLError(_explained(error, line)) from error
    return [document for document in documents if document is not None]


def _json_documents(text: str) -> tuple[list[object], int]:
    """Return the JSON values at the beginning of `text`, and the position where YAML begins, or the end.

    After two JSON values the rest has to be JSON too.
    """
    documents: list[object] = []
    end = 0
    while (position := _behind(_SPACES, text, end)) < len(text):
        try:
            document, end = _JSON.raw_decode(text, position)
        except json.JSONDecodeError as error:
            if len(documents) > 1:
                raise yaml.YAMLError(f"line {error.lineno}: {error.msg}") from error
            return documents, _behind(_LINE_END, text, end)
        documents.append(_without_surrogates(document) if "\\u" in text else document)
    return documents, position


def _behind(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise yaml.YAMLError(f"the key {key!r} is given twice")
        members[key] = value
    return members


def _no_constant(name: str) -> None:
    """Python's NaN and Infinity are not JSON."""
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def _integer(text: str) -> Scalar:
    # int() is slow for long texts, and 64 bits have at most 20 characters.
    return json_value(int(text) if len(text) <= 20 else float(text))


def _float(text: str) -> Scalar:
    return json_value(float(text))


_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float, parse_int=_integer
)


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Replace half of a surrogate pair, which is no character, by the one that Go's reader uses."""
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(member) for member in value]
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def _chunks(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    """Yield the text of each document and the number of lines above it. Only a comment may follow a separator."""
    begin, line = 0, first_line
    for separator in _SEPARATOR_LINE.finditer(text):
        above = line + text.count("\n", begin, separator.start())
        beside = separator[1].strip()
        if beside and not beside.startswith("#"):
            raise yaml.YAMLError(f"line {above + 1}: only a comment may follow {_SEPARATOR!r}, not {beside[:20]!r}")
        yield line, text[begin : separator.start()]
        begin, line = separator.end(), above + 1
    rest = text[begin:]
    yield line, rest if rest.endswith("\n") else f"{rest}\n"


def _yaml_documents(text: str) -> list[object]:
    document = read_plain(text, _Base, _MAX_DEPTH)
    if document is not UNREAD:
        return [document]
    _check_size(text)
    documents = list(yaml.load_all(text, _Loader))
    if len(documents) > 1:
        raise yaml.YAMLError(f"what follows '...' has to begin with {_SEPARATOR!r}")
    return documents


def _check_size(text: str) -> None:
    """Refuse a document that JSON could not hold: it nests too deeply or in itself, or its aliases are too large."""
    open_nodes: list[tuple[str | None, int]] = []  # anchor, values before it
    sizes: dict[str, int] = {}
    anchors: set[str] = set()
    values, limit = 0, max(len(text), _MAX_VALUES)
    for event in yaml.parse(text, _Loader):
        if getattr(event, "tag", None) == "!":
            raise _wrong("could not determine a constructor for the tag '!'", event)
        name = event.anchor if isinstance(event, NodeEvent) else None
        if name and not isinstance(event, AliasEvent):
            if name in anchors:
                raise _wrong(f"&{name} is given twice", event)
            anchors.add(name)
        if isinstance(event, NodeEvent):
            values += sizes.get(name or "", 0) if isinstance(event, AliasEvent) else 1
        if isinstance(event, CollectionStartEvent):
            open_nodes.append((event.anchor, values))
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes |= {anchor: values - before + 1} if anchor else {}
        elif isinstance(event, AliasEvent) and event.anchor in [anchor for anchor, _ in open_nodes]:
            raise _wrong(f"*{event.anchor} is within itself", event)
        if len(open_nodes) > _MAX_DEPTH:
            raise _wrong("is nested too deeply", event)
        if values > limit:
            raise _wrong("grows too large by its aliases", event)


class _Loader(_Base):
    """A loader that builds the same values as kubectl. A repeated key and a tag that JSON cannot express are errors."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        """Return the tag of a node without an explicit tag."""
        if kind is yaml.ScalarNode:
            plain = isinstance(implicit, tuple) and implicit[0]
            return (_MERGE if value == "<<" else _PLAIN) if plain else f"{_TAG}str"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a JSON object. Refuse a merge after a key that it contains too: kubectl takes the merge, YAML the key.

        PyYAML's own way to merge depends on its version.
        """
        members: dict[Hashable, Any] = {}
        own: set[str] = set()
        for key, value, is_own in _pairs(node):
            name = self._name(key)
            if name in own:
                raise ConstructorError(None, None, f"the key {name!r} is given twice", key.start_mark)
            own |= {name} if is_own else set()
            members[name] = self.construct_object(value, deep=deep)
        return members

    def _name(self, node: yaml.Node) -> str:
        try:
            if isinstance(node, yaml.ScalarNode) and node.tag in (_PLAIN, f"{_TAG}str"):
                return key_of(node.value) if node.tag == _PLAIN else str(node.value)
        except ValueError as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from error
        raise ConstructorError(None, None, "a key must be a string", node.start_mark)


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
    """Keys and values of a mapping, each with whether they are its own. Later ones win."""
    if not isinstance(node, yaml.MappingNode):
        raise ConstructorError(None, None, "only a mapping can be merged", node.start_mark)
    for key, value in node.value:
        if key.tag != _MERGE:
            yield key, value, True
            continue
        # Of a list the first wins.
        for merged in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
            yield from ((name, member, False) for name, member, _ in _pairs(merged))


def _scalar(kind: type | tuple[type, ...] | None) -> Callable[[_Loader, yaml.Node], Scalar]:
    """Return a constructor for scalars of the type `kind`, or of any type if `kind` is None."""

    def construct(loader: _Loader, node: yaml.Node) -> Scalar:
        text = loader.construct_scalar(node)  # type: ignore[arg-type] # checked there
        value = go_value(text)
        if kind and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise ValueError(repr(text))
        try:
            return json_value(value)
        except ValueError as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from error

    return construct


_Loader.yaml_constructors = {
    f"{_TAG}str": _Base.construct_yaml_str,
    f"{_TAG}map": _Base.construct_yaml_map,
    f"{_TAG}seq": _Base.construct_yaml_seq,
    _MERGE: _Base.construct_yaml_str,
    _PLAIN: _scalar(None),
    f"{_TAG}bool": _scalar(bool),
    f"{_TAG}int": _scalar(int),
    f"{_TAG}float": _scalar((int, float)),
    f"{_TAG}null": _scalar(type(None)),
    None: _Base.construct_undefined,
}


def _wrong(message: str, event: yaml.Event) -> yaml.YAMLError:
    return ConstructorError(None, None, message, event.start_mark)  # type: ignore[arg-type] # libyaml's mark


def _explained(error: yaml.MarkedYAMLError, line: int) -> str:
    if error.problem_mark is None:
        return " ".join(str(error).split())
    return f"line {line + error.problem_mark.line + 1}: {error.problem or error.context}"
