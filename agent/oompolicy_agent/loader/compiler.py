# SPDX-License-Identifier: Apache-2.0
"""The compiler of the module: the one that made the kernel, or else another version of gcc."""

from __future__ import annotations

import re
import shutil
from typing import Final

GCC: Final = ("gcc", "gcc-14")
"""The names of a gcc that replaces another version. The second is the one in the loader's image."""

_IN_VERSION: Final = re.compile(r"\(([\w.+-]*(?:gcc|clang)[\w.+-]*) ")
_IN_CONFIG: Final = re.compile(r'^CONFIG_CC_VERSION_TEXT="?([\w.+-]*(?:gcc|clang)[\w.+-]*) ', re.MULTILINE)
_TARGET: Final = re.compile(r"^.*-(?=gcc|clang)")
"""The beginning of a cross compiler's name: x86_64-linux-gnu-gcc-14."""


def kernel_compiler(version: str) -> str:
    """Return the name of the compiler in the text of /proc/version, such as `gcc-14`, or nothing."""
    found = _IN_VERSION.search(version)
    return _TARGET.sub("", found[1]) if found else ""


def headers_compiler(config: str) -> str:
    """Return the name of the compiler in the configuration among a kernel's headers, or nothing."""
    found = _IN_CONFIG.search(config)
    return _TARGET.sub("", found[1]) if found else ""


def substitute(own: str) -> str | None:
    """Return the gcc that has to compile the module, or None if the kernel's makefiles find their own compiler.

    `own` is the compiler that made the kernel, or nothing if that is unknown. The kernel's makefiles call it by its
    name. Another version of gcc makes a module that fits all the same. gcc cannot replace clang: the options differ.
    """
    own = own or GCC[0]
    if shutil.which(own) or not own.startswith(GCC[0]):
        return None
    return next((name for name in GCC if shutil.which(name)), None)
