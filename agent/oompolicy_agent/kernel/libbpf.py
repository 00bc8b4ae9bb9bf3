# SPDX-License-Identifier: Apache-2.0
"""libbpf.so.1 with the prototypes of all functions that the agent and the loader call."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, Final

_INT, _U32, _BOOL = ctypes.c_int, ctypes.c_uint32, ctypes.c_bool
_POINTER, _TEXT = ctypes.c_void_p, ctypes.c_char_p

LIBBPF_ERRNO_START: Final = 4000
"""The first of libbpf's own error numbers, such as LIBBPF_ERRNO__FORMAT (bpf/libbpf_legacy.h). errno.h has none."""

# name, result, arguments; as in bpf/bpf.h, bpf/libbpf.h and bpf/btf.h
_PROTOTYPES: Final[tuple[tuple[str, Any, tuple[Any, ...]], ...]] = (
    ("bpf_obj_get", _INT, (_TEXT,)),
    ("bpf_obj_get_info_by_fd", _INT, (_INT, _POINTER, _POINTER)),
    ("bpf_map_lookup_elem", _INT, (_INT, _POINTER, _POINTER)),
    ("bpf_map_update_elem", _INT, (_INT, _POINTER, _POINTER, ctypes.c_uint64)),
    ("bpf_map_delete_elem", _INT, (_INT, _POINTER)),
    ("bpf_map_get_next_key", _INT, (_INT, _POINTER, _POINTER)),
    ("libbpf_num_possible_cpus", _INT, ()),
    ("libbpf_set_print", _POINTER, (_POINTER,)),
    ("ring_buffer__new", _POINTER, (_INT, _POINTER, _POINTER, _POINTER)),
    ("ring_buffer__consume", _INT, (_POINTER,)),
    ("ring_buffer__poll", _INT, (_POINTER, _INT)),
    ("ring_buffer__epoll_fd", _INT, (_POINTER,)),
    ("ring_buffer__free", None, (_POINTER,)),
    ("bpf_object__open_file", _POINTER, (_TEXT, _POINTER)),
    ("bpf_object__load", _INT, (_POINTER,)),
    ("bpf_object__close", None, (_POINTER,)),
    ("bpf_object__next_program", _POINTER, (_POINTER, _POINTER)),
    ("bpf_program__name", _TEXT, (_POINTER,)),
    ("bpf_program__set_autoload", _INT, (_POINTER, _BOOL)),
    ("bpf_object__next_map", _POINTER, (_POINTER, _POINTER)),
    ("bpf_map__name", _TEXT, (_POINTER,)),
    ("bpf_map__type", _INT, (_POINTER,)),
    ("bpf_map__key_size", _U32, (_POINTER,)),
    ("bpf_map__value_size", _U32, (_POINTER,)),
    ("bpf_map__max_entries", _U32, (_POINTER,)),
    ("bpf_map__pin", _INT, (_POINTER, _TEXT)),
    ("btf__parse_split", _POINTER, (_TEXT, _POINTER)),
    ("btf__free", None, (_POINTER,)),
    ("btf__raw_data", _POINTER, (_POINTER, _POINTER)),
    ("btf__find_by_name_kind", _INT, (_POINTER, _TEXT, _U32)),
    ("btf__type_by_id", _POINTER, (_POINTER, _U32)),
    ("btf__name_by_offset", _TEXT, (_POINTER, _U32)),
    ("btf__resolve_size", ctypes.c_int64, (_POINTER, _U32)),
)


@cache
def libbpf() -> ctypes.CDLL:
    """Return the library with its prototypes. Raise OSError if it is not installed."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    for name, result, arguments in _PROTOTYPES:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.libbpf_set_print(None)  # its own messages would stand between the log's lines; errors come as OSError
    return lib
