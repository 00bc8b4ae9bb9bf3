# SPDX-License-Identifier: Apache-2.0
"""Compile what the programs import, and nothing else: `python compile.py`.

The root is read-only and the user not root, so Python cannot do it at the first start. All of the standard library and
of the packages would be 23 MB. Unchecked: no time of a file is in the result, and none is looked at.
"""

from __future__ import annotations

import importlib
import pkgutil
import py_compile
import sys
from typing import Final

PROGRAMS: Final = ("oompolicy", "oompolicy_agent")


def import_programs() -> None:
    """Import each of their modules; what these import comes along."""
    for program in PROGRAMS:
        package = importlib.import_module(program)
        for module in pkgutil.walk_packages(package.__path__, f"{program}."):
            if not module.name.endswith("__main__"):  # which would run it
                importlib.import_module(module.name)


def sources() -> list[str]:
    """The files of all that is imported now, in an order that does not depend on the import's."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({file for file in files if file and file.endswith(".py") and file != __file__})


def main() -> None:
    """Compile."""
    import_programs()
    for source in sources():
        py_compile.compile(source, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
