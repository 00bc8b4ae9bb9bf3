# SPDX-License-Identifier: Apache-2.0
"""An adjuster that looks every N seconds and for no other reason but a request: `python3 -m benchmarks.fixedpace N`."""

from __future__ import annotations

import sys
from unittest import mock

from oompolicy_agent.adjuster import adjuster, main, pace


class NoPressure:
    """A kernel without information about pressure."""

    def __init__(self) -> None:
        raise OSError("this benchmark looks at fixed times")


def run(seconds: float, arguments: list[str]) -> int:
    """Run the adjuster."""
    with (
        mock.patch.object(pace, "is_due", lambda elapsed, *_: elapsed >= seconds),
        mock.patch.object(pace, "check_after", return_value=seconds),
        mock.patch.object(adjuster, "PressureWatch", NoPressure),
    ):
        return main.main(arguments)


if __name__ == "__main__":
    sys.exit(run(float(sys.argv[1]), sys.argv[2:]))
