# SPDX-License-Identifier: Apache-2.0
"""Append whole manifests to a file or to standard output."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.plumbing.text import utf8
from oompolicy_agent.settings import STDOUT, Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LAST: Final = 8192
"""The number of bytes to read from the end of the file. No Event is longer."""


class Output:
    """The file or pipe that Events go to. If a write to a file fails, the part that was written is removed again."""

    def __init__(self, target: str, form: Format = "yaml") -> None:
        """`target` is a file's path, or `-`."""
        self._path = None if target == STDOUT else Path(target)
        self._encode: Callable[[Mapping[str, Any]], str] = as_yaml if form == "yaml" else as_json_line

    def write(self, manifest: Mapping[str, Any]) -> None:
        """Write one manifest, or raise OSError. In a file it is on the disk when this returns."""
        data = utf8(self._encode(manifest))
        if self._path is None:
            _write_all(1, data)
            return
        # Opened for each write, because the file may have been rotated. A pipe without a reader must not stop the loop.
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
        try:
            _append(fd, data)
        finally:
            os.close(fd)

    def last(self) -> bytes:
        """Return the end of the file with at least its last manifest, or nothing if that is incomplete."""
        try:
            if self._path is None or not self._path.is_file():
                return b""
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST))
                data = file.read()
        except OSError:
            return b""
        return data if data.endswith(b"\n") else b""


def as_json_line(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as one line of JSON."""
    return json.dumps(manifest, ensure_ascii=False) + "\n"


def as_yaml(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as a YAML document.

    PyYAML is not needed: a manifest has nested mappings and scalars only, and a JSON string is a YAML string.
    """
    return "---\n" + "".join(f"{line}\n" for line in _lines(manifest, ""))


def _lines(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"


def _append(fd: int, data: bytes) -> None:
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        _write_all(fd, data)
        return
    try:
        _write_all(fd, data)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, before.st_size)
        raise


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
