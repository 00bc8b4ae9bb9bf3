# SPDX-License-Identifier: Apache-2.0
"""The command line `oompolicy`, which is also the kubectl plugin `kubectl oom`.

Here belong arguments, tables and colours, by click and rich. Only the extra `cli` installs these libraries.
Here does not belong a decision: those are in `manifests`, `parse` and `resolve`.
"""

import sys
from collections.abc import Sequence
from typing import Final

_LIBRARIES: Final = ("click", "rich", "kubernetes")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Raise `SystemExit` with status 2 for wrong usage."""
    try:
        # The images of operator and agent have the script `oompolicy`, but not these libraries.
        from oompolicy.cli.program import run  # noqa: PLC0415

        return run(argv)
    except ModuleNotFoundError as error:
        if error.name not in _LIBRARIES:
            raise
        sys.stderr.write(f"oompolicy: {error.name} is not installed. Run: pipx install 'oompolicy[cli]'\n")
        return 2
