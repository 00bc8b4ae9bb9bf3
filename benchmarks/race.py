# SPDX-License-Identifier: Apache-2.0
"""Race growth against the adjuster's looks in a guest, and write the table: `python3 -m benchmarks.race`."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from benchmarks import answers, guests
from benchmarks.races import Races
from vmtest.errors import HarnessError
from vmtest.progress import say

MEMORY_MIB: Final = 512


def main() -> int:
    """Race, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.race", description=__doc__)
    parser.add_argument("--races", type=int, default=10, help="per case. Default: %(default)s")
    parser.add_argument("--goal-races", type=int, default=100, help="per case of the goal. Default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    words = [f"--{name}={getattr(options, name.replace('-', '_'))}" for name in ("races", "goal-races", "seed")]
    try:
        with guests.ran("benchmarks.raceguest", words, MEMORY_MIB) as (folder, place):
            races = Races.read(folder / "races.json")
    except HarnessError as error:
        say(str(error))
        return 1
    text = f"{place}\n{races.table()}\n"
    print(text)
    return 0 if options.dry_run else answers.write("race", text)


if __name__ == "__main__":
    sys.exit(main())
