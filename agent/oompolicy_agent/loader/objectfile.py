# SPDX-License-Identifier: Apache-2.0
"""Reads a BPF object through libbpf, and makes its maps without loading a program.

That way the maps can be filled before the first program attaches, and have the object's own sizes and BTF.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.btf import check_object
from oompolicy_agent.kernel.libbpf import LIBBPF_ERRNO_START, libbpf
from oompolicy_agent.kernel.maps import MapInfo
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError
from oompolicy_agent.loader.pinfolder import MAPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_HASH_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class BPFObject:
    """An object file. `maps` has the shapes of the five maps by name. Their ids are 0, as the maps do not exist yet."""

    path: Path
    hash: str
    programs: frozenset[str]
    maps: Mapping[str, MapInfo]


def read(path: Path) -> BPFObject:
    """Read an object file. LoaderError if it cannot be read, is not an object, or disagrees with `layout`."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH_DIGITS]
    except OSError as error:
        raise LoaderError(f"the BPF object {path} cannot be read: {error.strerror}") from error
    with _opened(path) as handle:
        if difference := check_object(path):
            raise LoaderError(f"{path.name} and this loader are of different versions: {difference}")
        programs = frozenset(libbpf().bpf_program__name(each).decode() for each in _programs(handle))
        maps = {name: _shape(each) for name, each in _maps(handle).items() if name in MAPS}
    if missing := [name for name in MAPS if name not in maps]:
        raise LoaderError(f"{path.name} has no map {', '.join(missing)}")
    return BPFObject(path, digest, programs, maps)


def make_maps(obj: BPFObject, names: Iterable[str], folder: Path) -> None:
    """Make the maps `names` of the object and pin them in `folder`. LoaderError, UnsupportedError."""
    lib = libbpf()
    with _opened(obj.path) as handle:
        for program in _programs(handle):
            lib.bpf_program__set_autoload(program, False)
        _check(lib.bpf_object__load(handle), f"the maps of {obj.path.name} could not be made")
        maps = _maps(handle)
        for name in names:
            _check(lib.bpf_map__pin(maps[name], os.fsencode(folder / name)), f"{folder / name} could not be pinned")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = libbpf().bpf_object__open_file(os.fsencode(path), None)
    if not handle:
        number = ctypes.get_errno()
        reason = os.strerror(number) if number < LIBBPF_ERRNO_START else "not a BPF object"
        raise LoaderError(f"libbpf cannot read {path}: {reason}")
    try:
        yield handle
    finally:
        libbpf().bpf_object__close(handle)


def _programs(handle: int) -> Iterator[int]:
    program = libbpf().bpf_object__next_program(handle, None)
    while program:
        yield program
        program = libbpf().bpf_object__next_program(handle, program)


def _maps(handle: int) -> dict[str, int]:
    found = {}
    each = libbpf().bpf_object__next_map(handle, None)
    while each:
        found[libbpf().bpf_map__name(each).decode()] = each
        each = libbpf().bpf_object__next_map(handle, each)
    return found


def _shape(each: int) -> MapInfo:
    lib = libbpf()
    sizes = lib.bpf_map__key_size(each), lib.bpf_map__value_size(each), lib.bpf_map__max_entries(each)
    return MapInfo(lib.bpf_map__type(each), 0, *sizes)


def _check(result: int, failure: str) -> None:
    if result == -errno.EPERM:
        raise UnsupportedError(f"{failure}: {os.strerror(-result)}{locked_memory(os.uname().release)}")
    if result < 0:
        raise LoaderError(f"{failure}: {os.strerror(-result)}")


def locked_memory(release: str) -> str:
    """Return the usual reason why a kernel of this release permits no map, or nothing if there is none.

    That is bpf_charge_memlock() in kernel/bpf/syscall.c before Linux 5.11.
    """
    if tuple(int(number) for number in re.findall(r"\d+", release)[:2]) >= (5, 11):
        return ""
    return (
        "; before Linux 5.11 maps count as locked memory, so the loader needs CAP_SYS_RESOURCE, or an unlimited "
        "RLIMIT_MEMLOCK"
    )
