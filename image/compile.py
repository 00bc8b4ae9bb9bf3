# SPDX-License-Identifier: Apache-2.0
"""Compile only the modules that the programs import: `python compile.py`.

The root is read-only and the user is not root, so Python cannot compile modules at the first start. The whole standard
library and all packages would take 23 MB. The files are unchecked: they contain no time, and Python compares none.
"""

from __future__ import annotations

import importlib
import pkgutil
import py_compile
import sys
from typing import Final

PROGRAMS: Final = ("oompolicy", "oompolicy_agent")
COMMAND_LINE: Final = "oompolicy.cli."
"""The modules of the command line, whose libraries are not in the images."""


def import_programs() -> None:
    """Import each module of the programs, and with it all of their dependencies."""
    for program in PROGRAMS:
        package = importlib.import_module(program)
        for module in pkgutil.walk_packages(package.__path__, f"{program}."):
            if module.name.startswith(COMMAND_LINE) or module.name.endswith("__main__"):  # which would run
                continue
            importlib.import_module(module.name)


def sources() -> list[str]:
    """Return the source files of all imported modules, sorted, so that the order of imports does not matter."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({file for file in files if file and file.endswith(".py") and file != __file__})


def main() -> None:
    """Import the programs, then compile every imported source file."""
    import_programs()
    for source in sources():
        py_compile.compile(source, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
