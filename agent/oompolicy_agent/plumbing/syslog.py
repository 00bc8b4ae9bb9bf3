# SPDX-License-Identifier: Apache-2.0
"""Read the kernel's log with syslog(2), and change nothing in it.

/dev/kmsg has the same log, but the runtime's list of devices keeps every container from opening it that is not
privileged. No capability and no mount changes that.
"""

from __future__ import annotations

import ctypes
from typing import Final

from oompolicy_agent.plumbing.libc import last_error, libc

_READ_ALL, _SIZE_BUFFER = 3, 10  # include/linux/syslog.h
_LARGEST: Final = 4 << 20
"""Bytes. The adjuster locks its memory, and machines with many processors have a log of 16 MiB."""
_GROWS: Final = 3
"""A line is longer here than in the kernel's buffer, which has no text for its priority and time."""


def read_all() -> bytes:
    """Return the text of the log, or its last part if it is very long. OSError without CAP_SYSLOG.

    A container needs CAP_SYSLOG always, because its seccomp filter refuses the call without it. Outside of containers
    only kernel.dmesg_restrict=1 asks for it.
    """
    size = libc().klogctl(_SIZE_BUFFER, None, 0)
    if size < 0:
        raise last_error("syslog(2)")
    size = min(_GROWS * size, _LARGEST)
    buffer = ctypes.create_string_buffer(size)
    length = libc().klogctl(_READ_ALL, buffer, size)
    if length < 0:
        raise last_error("syslog(2)")
    return buffer.raw[:length]
