# SPDX-License-Identifier: Apache-2.0
"""Count kills beyond need in guests, and write the table: `python3 -m benchmarks.surplus`."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from benchmarks import answers, guests
from benchmarks.shortages import Shortages
from vmtest.errors import HarnessError
from vmtest.progress import say

KERNELS: Final = ("trixie", "trixie-backports")
MEMORY_MIB: Final = 1024


def main() -> int:
    """Measure on each kernel, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.surplus", description=__doc__)
    parser.add_argument("--ooms", type=int, default=20, help="per case and block. Default: %(default)s")
    parser.add_argument("--blocks", type=int, default=3, help="without and with oompolicy. Default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    words = [f"--ooms={options.ooms}", f"--blocks={options.blocks}"]
    parts = []
    for kernel in KERNELS:
        try:
            with guests.ran("benchmarks.surplusguest", words, MEMORY_MIB, kernel) as (folder, place):
                parts.append(f"{place}\n{Shortages.read(folder / 'shortages.json').table()}\n")
        except HarnessError as error:
            say(str(error))
            return 1
    text = "\n".join(parts)
    print(text)
    return 0 if options.dry_run else answers.write("surplus", text)


if __name__ == "__main__":
    sys.exit(main())
