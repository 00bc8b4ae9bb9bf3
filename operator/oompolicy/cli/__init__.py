# SPDX-License-Identifier: Apache-2.0
"""The command line `oompolicy`, which is also the kubectl plugin `kubectl oom`.

Here belong arguments, tables and colours, by click and rich. Only the extra `cli` installs these libraries.
Here does not belong a decision: those are in `manifests`, `parse` and `resolve`.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

_LIBRARIES: Final = ("click", "kubernetes", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Raise `SystemExit` with status 2 for wrong usage."""
    # The images of operator and agent have the script `oompolicy`, but not all of these libraries.
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"oompolicy: not installed: {', '.join(missing)}. Run: pipx install 'oompolicy[cli]'\n")
        return 2
    from oompolicy.cli.program import run  # noqa: PLC0415

    return run(argv)
