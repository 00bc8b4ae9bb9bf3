# SPDX-License-Identifier: Apache-2.0
"""Build cosign once, which Debian does not package: `python3 -m tests.release.cosign` prints its path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.cluster.gobuild import NO_DWARF, GoPrograms
from vmtest.errors import HarnessError
from vmtest.progress import say

COSIGN: Final = GoPrograms(
    "cosign",
    Path(__file__).parent / "go",
    ("-trimpath", NO_DWARF, "-ldflags", "-s -w", "github.com/sigstore/cosign/v3/cmd/cosign"),
    "10 minutes on two cores",
)


def main() -> int:
    """Build the program if it is missing, and print its path."""
    try:
        print(COSIGN.ensure() / "cosign")
    except HarnessError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
