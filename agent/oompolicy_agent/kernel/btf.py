# SPDX-License-Identifier: Apache-2.0
"""Read BTF through libbpf, so that loader and agent can check struct layouts and find functions.

Only the two records of a struct and its members are declared here. libbpf reads them in inline functions of bpf/btf.h,
which the library itself does not export. Format: Documentation/bpf/btf.rst in the kernel's tree.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import STRUCTS, StructLayout, check_against_btf
from oompolicy_agent.kernel.libbpf import LIBBPF_ERRNO_START, libbpf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# BTF_KIND_STRUCT and BTF_KIND_FUNC in include/uapi/linux/btf.h.
_STRUCT, _FUNC = 4, 12

_NO_SECTION: Final = {errno.ENOENT, errno.ENODATA}  # the number depends on libbpf's version


class _Type(ctypes.Structure):
    """The first part of every type, struct btf_type in include/uapi/linux/btf.h."""

    _fields_ = (("name_off", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size", ctypes.c_uint32))


class _Member(ctypes.Structure):
    """A member of a struct, struct btf_member in include/uapi/linux/btf.h."""

    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32))


class BTFError(ValueError):
    """The file's BTF cannot be read. The message says why."""


class MissingBTFError(BTFError):
    """The file is neither BTF nor an ELF file with a .BTF section."""


class Types:
    """The types of one file. Use it only inside `with opened(...)`."""

    def __init__(self, handle: int) -> None:
        """Read through `handle`, a struct btf pointer."""
        self._handle = handle

    @property
    def raw(self) -> bytes:
        """The file's own BTF, without that of the file it is based on."""
        size = ctypes.c_uint32()
        data = libbpf().btf__raw_data(self._handle, ctypes.byref(size))
        return ctypes.string_at(data, size.value) if data else b""

    def has_function(self, name: str) -> bool:
        """Return whether there is a function of this name."""
        return bool(libbpf().btf__find_by_name_kind(self._handle, name.encode(), _FUNC) > 0)

    def struct(self, name: str) -> StructLayout | None:
        """Return the layout of a struct, or None if there is none of this name. BTFError if a member has no size."""
        number = libbpf().btf__find_by_name_kind(self._handle, name.encode(), _STRUCT)
        if number <= 0:
            return None
        address = libbpf().btf__type_by_id(self._handle, number)
        record = _Type.from_address(address)
        members = (_Member * (record.info & 0xFFFF)).from_address(address + ctypes.sizeof(_Type))
        # With the type's kind_flag set, the top 8 bits of the offset are a bit field's width.
        mask = 0xFFFFFF if record.info >> 31 else 0xFFFFFFFF
        return StructLayout(
            record.size,
            {self._name(each.name_off): ((each.offset & mask) // 8, self._size(each.type)) for each in members},
        )

    def _name(self, offset: int) -> str:
        name: bytes | None = libbpf().btf__name_by_offset(self._handle, offset)
        return (name or b"").decode(errors="replace")

    def _size(self, number: int) -> int:
        size = int(libbpf().btf__resolve_size(self._handle, number))
        if size < 0:
            raise BTFError(f"its BTF is damaged: type {number} has no size ({os.strerror(-size)})")
        return size


@contextmanager
def opened(path: Path, base: Path | None = None) -> Iterator[Types]:
    """Open the BTF in a file, which is raw BTF or an ELF file with a .BTF section.

    The types of a kernel module refer to those of the kernel, so a module needs the kernel's BTF as `base`.

    Raises:
        BTFError: libbpf cannot read the BTF.
        OSError: `path` or `base` cannot be read.
    """
    with ExitStack() as stack:
        below = _parse(base, None, stack) if base else None
        yield Types(_parse(path, below, stack))


def check_object(path: Path) -> str | None:
    """Return None if the BPF object at `path` agrees with `layout`, else a sentence. OSError if unreadable."""
    try:
        with opened(path) as types:
            found = {name: layout for name in STRUCTS if (layout := types.struct(name))}
    except BTFError as error:
        return f"{path.name}: {error}"
    return check_against_btf(found)


def _parse(path: Path, base: int | None, stack: ExitStack) -> int:
    with path.open("rb"):
        pass  # libbpf reports a missing file and a missing section with the same number
    handle: int | None = libbpf().btf__parse_split(os.fsencode(path), base)
    if not handle:
        raise _error(ctypes.get_errno())
    stack.callback(libbpf().btf__free, handle)
    return handle


def _error(number: int) -> BTFError:
    if number in _NO_SECTION:
        return MissingBTFError("no .BTF section")
    if number >= LIBBPF_ERRNO_START or number == errno.EIO:  # EIO: the file ends before its second byte
        return MissingBTFError("neither BTF nor an ELF file that libbpf can read")
    if number == errno.EINVAL:
        return BTFError("its BTF is damaged, or of a newer kind than libbpf knows")
    return BTFError(f"its BTF cannot be read: {os.strerror(number)}")
