# SPDX-License-Identifier: Apache-2.0
"""Collect OOMPolicy, OOMSettings, Namespace and Pod objects from files, as `kubectl get -o yaml` prints them.

The command line also reads the pod templates of workloads, and skips all other kinds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from oompolicy.api import API_VERSION, GROUP
from oompolicy.manifests.documents import files_of, read_documents
from oompolicy.model import Defaults, Namespace, OOMPolicy, Pod
from oompolicy.oomsettings import OOMSettings
from oompolicy.parse import (
    InvalidObject,
    Problem,
    parse_namespace,
    parse_pod,
    parse_policy,
    parse_settings,
    read_pod,
)
from oompolicy.parse.fields import kind_of
from oompolicy.parse.workload import API_VERSIONS, parse_workload

WITHOUT_PODS: Final = ("OOMPolicy", "OOMSettings", "Namespace")
"""The kinds whose objects are no pods, and have no pod template."""
_OWN_VERSIONS: Final = {"OOMPolicy": API_VERSION, "OOMSettings": API_VERSION, "Namespace": "v1", "Pod": "v1"}
_Record = OOMPolicy | OOMSettings | Namespace | Pod
_Raw = tuple[str | None, Mapping[str, Any]]
_Parsers = Mapping[str, Callable[[Mapping[str, Any]], _Record]]


@dataclass(frozen=True, slots=True)
class Manifests:
    """All valid objects in the order of reading, and the problems of the others.

    `objects` has the raw form of each valid object with its file. Reading them again gives the same result.
    `skipped` has the kinds of the objects that do not concern oompolicy, one for each object.
    """

    policies: tuple[OOMPolicy, ...]
    namespaces: tuple[Namespace, ...]
    pods: tuple[Pod, ...]
    problems: tuple[Problem, ...]
    objects: tuple[_Raw, ...]
    settings: OOMSettings | None = None
    skipped: tuple[str, ...] = ()

    @property
    def defaults(self) -> Defaults:
        """The priorities of pods to which no policy gives one: those of OOMSettings, or else the built-in ones."""
        return self.settings.defaults if self.settings else Defaults()


def _ignore(_: Path) -> None:
    pass


def load_manifests(
    paths: Sequence[Path],
    *,
    stand_in_uids: bool = False,
    workloads: bool = False,
    recursive: bool = False,
    on_file: Callable[[Path], None] = _ignore,
) -> Manifests:
    """Read files and directories. `-` is standard input. No content of a file raises an error.

    `stand_in_uids` is for hand-written pods, see `parse_pod`. With `workloads`, a pod template is a pod, and an object
    of a foreign kind is skipped. `on_file` is called before a file is read.
    """
    objects: list[_Raw] = []
    problems: list[Problem] = []
    for file in _files(paths, problems, recursive=recursive):
        on_file(file)
        documents, unreadable = read_documents(file)
        problems += unreadable
        for document in documents:
            if isinstance(document, Mapping):
                objects.append((str(file), document))
            else:
                problems.append(Problem(str(file), "", "", f"must hold objects, not {kind_of(document)}"))
    found = manifests_from_objects(objects, stand_in_uids=stand_in_uids, workloads=workloads)
    return replace(found, problems=(*problems, *found.problems))


def _files(paths: Sequence[Path], problems: list[Problem], *, recursive: bool) -> Iterator[Path]:
    for path in paths:
        try:
            yield from files_of(path, recursive=recursive)
        except OSError as error:
            problems.append(Problem(str(path), "", "", f"cannot be read: {error.strerror}"))


def manifests_from_objects(
    objects: Iterable[_Raw], *, stand_in_uids: bool = False, workloads: bool = False
) -> Manifests:
    """Return the manifests of raw objects, each given with the name of its file or `None`."""
    parsers: _Parsers = {
        "OOMPolicy": parse_policy,
        "OOMSettings": parse_settings,
        "Namespace": parse_namespace,
        "Pod": partial(parse_pod, stand_in_uid=stand_in_uids),
    }
    return _collected(_Collection(parsers, workloads=workloads), objects)


def manifests_from_checkpoint(objects: Iterable[_Raw]) -> Manifests:
    """Return the manifests of raw objects that were accepted before.

    A pod is read as far as possible, and policies and settings are read without their unknown fields.
    Objects that came from a folder were read strictly before they were saved.
    """
    parsers: _Parsers = {
        "OOMPolicy": lambda raw: parse_policy(raw, unknown=[]),
        "OOMSettings": lambda raw: parse_settings(raw, unknown=[]),
        "Namespace": parse_namespace,
        "Pod": read_pod,
    }
    return _collected(_Collection(parsers), objects)


def _collected(collection: "_Collection", objects: Iterable[_Raw]) -> Manifests:
    for file, raw in objects:
        collection.add(file, raw)
    return collection.manifests()


class _Collection:
    """The objects read so far."""

    def __init__(self, parsers: _Parsers, *, workloads: bool = False) -> None:
        self._parsers: _Parsers = {**parsers, **(dict.fromkeys(API_VERSIONS, parse_workload) if workloads else {})}
        self._skips = workloads
        self._skipped: list[str] = []
        self._records: list[_Record] = []
        self._raw: list[_Raw] = []
        self._problems: list[Problem] = []
        self._origins: dict[str, str | None] = {}

    def manifests(self) -> Manifests:
        return Manifests(
            tuple(record for record in self._records if isinstance(record, OOMPolicy)),
            tuple(record for record in self._records if isinstance(record, Namespace)),
            tuple(record for record in self._records if isinstance(record, Pod)),
            tuple(self._problems),
            tuple(self._raw),
            next((record for record in self._records if isinstance(record, OOMSettings)), None),
            tuple(self._skipped),
        )

    def add(self, file: str | None, raw: Mapping[str, Any]) -> None:
        """Add one object, or all objects of a list."""
        kind = raw.get("kind")
        if not isinstance(kind, str) or not kind.endswith("List") or (self._skips and "items" not in raw):
            self._add_object(file, raw)
            return
        items = raw.get("items")
        if not isinstance(items, list):
            self._problem(file, kind, "items", f"must be a list, not {kind_of(items)}")
            return
        # The API server leaves apiVersion and kind out of the items of a PodList, kubectl writes them.
        implied = {"apiVersion": raw.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
        for index, item in enumerate(items):
            if isinstance(item, Mapping):
                self._add_object(file, {**implied, **item})
            else:
                self._problem(file, kind, f"items[{index}]", f"must be an object, not {kind_of(item)}")

    def _add_object(self, file: str | None, raw: Mapping[str, Any]) -> None:
        kind = raw.get("kind")
        if self._skips and _is_foreign(raw):
            self._skipped.append(str(kind))
            return
        if not isinstance(kind, str) or kind not in self._parsers:
            self._problem(file, _named(raw), "kind", f"must be one of {', '.join(self._parsers)}, {_shown(kind)}")
            return
        wanted = _OWN_VERSIONS.get(kind) or API_VERSIONS[kind]
        if raw.get("apiVersion") != wanted:
            self._problem(file, _named(raw), "apiVersion", f"must be {wanted}, {_shown(raw.get('apiVersion'))}")
            return
        try:
            record = self._parsers[kind](raw)
        except InvalidObject as error:
            self._problems += [replace(problem, file=file) for problem in error.problems]
            return
        self._keep(file, raw, record)

    def _keep(self, file: str | None, raw: Mapping[str, Any], record: _Record) -> None:
        """Keep a valid object. A second object of the same name, or a second pod of the same uid, is a problem."""
        name, *others = identities = _identities(record)
        for identity in identities:
            if identity in self._origins:
                first = self._origins[identity]
                what = f"{identity} is" if identity in others else "is"
                self._problem(file, name, "", f"{what} defined twice{f', first in {first}' if first else ''}")
                return
        self._origins |= dict.fromkeys(identities, file)
        self._records.append(record)
        self._raw.append((file, raw))

    def _problem(self, file: str | None, name: str, field: str, message: str) -> None:
        self._problems.append(Problem(file, name, field, message))


def _is_foreign(raw: Mapping[str, Any]) -> bool:
    """Return True for an object that does not concern oompolicy, such as a Service, or a Job of another group.

    An object without kind or apiVersion is a mistake, and so is a kind of oompolicy's group that does not exist.
    """
    kind, version = raw.get("kind"), raw.get("apiVersion")
    if not (isinstance(kind, str) and kind and isinstance(version, str) and version):
        return False
    if kind in _OWN_VERSIONS:
        return False
    group = version.partition("/")[0]
    if kind in API_VERSIONS:
        return group != API_VERSIONS[kind].partition("/")[0]
    return group != GROUP or kind == "OOMNode"


def _identities(record: _Record) -> tuple[str, ...]:
    if isinstance(record, Pod):
        return f"{record.kind}/{record.namespace}/{record.name}", f"uid {record.uid}"
    return (f"{type(record).__name__}/{record.name}",)


def _named(raw: Mapping[str, Any]) -> str:
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return "/".join(part for part in (raw.get("kind"), name) if isinstance(part, str))


def _shown(value: object) -> str:
    return "but is missing" if value is None else f"not {value!r}"
