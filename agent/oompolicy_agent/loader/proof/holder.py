# SPDX-License-Identifier: Apache-2.0
"""A process of a proof, run by its path: hold as many MiB as each line of stdin says, and end with stdin.

It imports nothing of this project, so that it stays small. A killed loader closes stdin, and the process ends.
"""

import mmap
import sys
from pathlib import Path


def main() -> None:
    """Read numbers until stdin ends. Answer each with `held`."""
    # The name in the kernel's log. It has at most 15 bytes.
    Path("/proc/self/comm").write_text("oompolicy-proof", encoding="ascii")
    score = Path("/proc/self/oom_score_adj")
    # A loader of a critical pod, or of a protected service, has a score that would keep this process from dying.
    if int(score.read_text(encoding="ascii")) < 0:
        score.write_text("0", encoding="ascii")
    held = []
    print("held", flush=True)
    for line in sys.stdin:
        memory = mmap.mmap(-1, int(line) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, len(memory), mmap.PAGESIZE):
            memory[offset] = 1
        held.append(memory)
        print("held", flush=True)


if __name__ == "__main__":
    main()
