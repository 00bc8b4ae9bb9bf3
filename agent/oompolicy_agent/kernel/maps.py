# SPDX-License-Identifier: Apache-2.0
"""Access pinned BPF maps and ring buffers through libbpf.so.1, as far as a process without capabilities may.

Every failure is an OSError that carries the errno and the pin's path.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from oompolicy_agent.kernel.layout import KEY_SIZE, Entry, EntryFlag, KernelMode, Settings
from oompolicy_agent.kernel.libbpf import libbpf
from oompolicy_agent.plumbing.libc import last_error

if TYPE_CHECKING:
    from collections.abc import Callable

HASH: Final = 1
"""The map type BPF_MAP_TYPE_HASH."""
ARRAY: Final = 2
"""The map type BPF_MAP_TYPE_ARRAY."""
PERCPU_ARRAY: Final = 6
"""The map type BPF_MAP_TYPE_PERCPU_ARRAY."""
RINGBUF: Final = 27
"""The map type BPF_MAP_TYPE_RINGBUF."""

_SAMPLE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _MapInfo(ctypes.Structure):
    """The start of struct bpf_map_info in include/uapi/linux/bpf.h. The kernel fills as much as it gets room for."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    map_flags: int

    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("type", "id", "key_size", "value_size", "max_entries", "map_flags")
    )


class MapInfo(NamedTuple):
    """The type and the sizes of a pinned map. Sizes are in bytes."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int


class Map:
    """An open pin. It is a context manager, and `close` may be called twice."""

    def __init__(self, path: Path) -> None:
        """Open the pin at `path`."""
        self.path: Final = path
        self.fd = _checked(libbpf().bpf_obj_get(os.fsencode(path)), path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def info(self) -> MapInfo:
        """Return the map's type and sizes. This needs no capability."""
        raw = _MapInfo()
        length = ctypes.c_uint32(ctypes.sizeof(raw))
        result = libbpf().bpf_obj_get_info_by_fd(self.fd, ctypes.byref(raw), ctypes.byref(length))
        _checked(result, self.path)
        return MapInfo(raw.type, raw.id, raw.key_size, raw.value_size, raw.max_entries)

    @property
    def frozen(self) -> bool:
        """True if no process can write to the map any more (BPF_MAP_FREEZE); needs no capability."""
        # bpf_map_show_fdinfo() in kernel/bpf/syscall.c; struct bpf_map_info does not have it.
        lines = Path(f"/proc/self/fdinfo/{self.fd}").read_text(encoding="ascii").splitlines()
        return any(line.split() == ["frozen:", "1"] for line in lines)

    def expect(self, *, type: int, key_size: int, value_size: int) -> None:  # noqa: A002 (the kernel's word)
        """Raise OSError (EINVAL) with both sides in the message if the map differs from the layout."""
        info = self.info()
        found, wanted = (info.type, info.key_size, info.value_size), (type, key_size, value_size)
        if found != wanted:
            text = "map has (type, key size, value size) %s, expected %s" % (found, wanted)  # noqa: UP031
            raise OSError(errno.EINVAL, text, str(self.path))


class PriorityMap(Map):
    """The map `cgroup_priority`: cgroup id -> (priority, memory request in bytes)."""

    def __init__(self, path: Path) -> None:
        """Open the pin and check that key and value have the layout's sizes."""
        super().__init__(path)
        self.expect(type=HASH, key_size=KEY_SIZE, value_size=ctypes.sizeof(Entry))

    def entries(self) -> dict[int, tuple[int, int]]:
        """Return all entries, without those that the kernel deletes meanwhile and those of the loader's proof."""
        found = {}
        for key in self._keys():
            value = self._lookup(key)
            if value is not None and not value.flags & EntryFlag.PROOF:
                found[key] = value.priority, value.memory_request
        return found

    def get(self, cgroup_id: int) -> tuple[int, int] | None:
        """Return (priority, memory request) of one cgroup, or None."""
        value = self._lookup(cgroup_id)
        return None if value is None else (value.priority, value.memory_request)

    def put(self, cgroup_id: int, priority: int, memory_request: int, flags: int = 0) -> None:
        """Create or replace one entry. Raise OSError (E2BIG) if the map is full."""
        key, value = ctypes.c_uint64(cgroup_id), Entry(priority=priority, memory_request=memory_request, flags=flags)
        _checked(libbpf().bpf_map_update_elem(self.fd, ctypes.byref(key), ctypes.byref(value), 0), self.path)

    def delete(self, cgroup_id: int) -> bool:
        """Delete one entry. Return False if it no longer exists, because the kernel deletes entries too."""
        key = ctypes.c_uint64(cgroup_id)
        result = libbpf().bpf_map_delete_elem(self.fd, ctypes.byref(key))
        if result == -errno.ENOENT:
            return False
        _checked(result, self.path)
        return True

    def _lookup(self, cgroup_id: int) -> Entry | None:
        key, value = ctypes.c_uint64(cgroup_id), Entry()
        result = libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(value))
        if result == -errno.ENOENT:
            return None
        _checked(result, self.path)
        return value

    def _keys(self) -> list[int]:
        # A key deleted under the iteration sends it back to the first one (kernel/bpf/hashtab.c,
        # htab_map_get_next_key), hence the set and the bound.
        seen: dict[int, None] = {}
        previous, following = ctypes.c_uint64(), ctypes.c_uint64()
        at = None
        for _ in range(2 * self.info().max_entries):
            result = libbpf().bpf_map_get_next_key(self.fd, at, ctypes.byref(following))
            if result == -errno.ENOENT:
                break
            _checked(result, self.path)
            seen[following.value] = None
            previous.value = following.value
            at = ctypes.byref(previous)
        return list(seen)


class SettingsMap(Map):
    """The map `settings`, which has one element."""

    @property
    def has_modes(self) -> bool:
        """False if the map belongs to programs of a version before modes, which always enforce."""
        return self.info().value_size >= ctypes.sizeof(Settings)

    def read(self) -> Settings:
        """Return the settings. All fields are 0 until the loader has written them. Raise OSError without modes."""
        self._expect()
        key, value = ctypes.c_uint32(), Settings()
        _checked(libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(value)), self.path)
        return value

    def write(self, settings: Settings) -> None:
        """Replace the settings. The next OOM uses them. Raise OSError if the programs have no modes."""
        self._expect()
        key = ctypes.c_uint32()
        _checked(libbpf().bpf_map_update_elem(self.fd, ctypes.byref(key), ctypes.byref(settings), 0), self.path)

    def mode(self) -> int:
        """Return the number of the programs' mode. Raise OSError without modes."""
        return self.read().mode

    def host_priority(self) -> int:
        """Return the priority of processes outside of pods. Raise OSError without modes."""
        return self.read().host_priority

    def set_mode(self, mode: KernelMode) -> bool:
        """Change the mode alone. Return True if it was another one before."""
        return self.change(mode=mode)

    def change(self, **fields: int) -> bool:
        """Change some fields of the settings. Return True if one of them had another value."""
        settings = self.read()
        if all(getattr(settings, name) == value for name, value in fields.items()):
            return False
        for name, value in fields.items():
            setattr(settings, name, value)
        self.write(settings)
        return True

    def _expect(self) -> None:
        self.expect(type=ARRAY, key_size=4, value_size=ctypes.sizeof(Settings))


class PerCPUCounters(Map):
    """A per-CPU array of u64, such as `stats`."""

    def __init__(self, path: Path) -> None:
        """Open the pin and check its type and sizes."""
        super().__init__(path)
        self.expect(type=PERCPU_ARRAY, key_size=4, value_size=8)
        self.size: Final = self.info().max_entries
        self._cpus = _checked(libbpf().libbpf_num_possible_cpus(), path)

    def sum(self, index: int) -> int:
        """Return one counter over all possible CPUs."""
        key, values = ctypes.c_uint32(index), (ctypes.c_uint64 * self._cpus)()
        _checked(libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(values)), self.path)
        return sum(values)


class RingBuffer(Map):
    """A reader of a pinned ring buffer. `on_record` gets the bytes of each record and must not raise."""

    def __init__(self, path: Path, on_record: Callable[[bytes], None]) -> None:
        """Open and map the pin at `path`."""
        super().__init__(path)
        self._on_record = on_record
        # libbpf keeps the pointer: the callback has to live as long as the ring.
        self._callback = _SAMPLE(self._sample)
        self._ring: int | None = libbpf().ring_buffer__new(self.fd, self._callback, None, None)
        if not self._ring:
            error = last_error(path)
            super().close()
            raise error

    @property
    def epoll_fd(self) -> int:
        """The file descriptor that is readable while the ring has records."""
        return int(libbpf().ring_buffer__epoll_fd(self._ring))

    def consume(self) -> int:
        """Pass all present records to `on_record` without waiting. Return their number.

        The consumer position moves after the callback of each record. A record is delivered again only if the process
        ends inside the callback.
        """
        return _checked(libbpf().ring_buffer__consume(self._ring), self.path)

    def poll(self, timeout_ms: int) -> int:
        """Wait for records and pass them to `on_record`. Return their number."""
        return _checked(libbpf().ring_buffer__poll(self._ring, timeout_ms), self.path)

    def close(self) -> None:
        """Unmap the ring."""
        if self._ring:
            libbpf().ring_buffer__free(self._ring)
            self._ring = None
        super().close()

    def _sample(self, _context: int | None, data: int, size: int) -> int:
        self._on_record(ctypes.string_at(data, size))
        return 0


def _checked(result: int, path: Path) -> int:
    """Return the result of a call, or raise OSError for a negative errno (libbpf since 1.0)."""
    if result < 0:
        raise OSError(-result, os.strerror(-result), str(path))
    return result
