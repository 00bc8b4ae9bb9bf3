# SPDX-License-Identifier: Apache-2.0
"""The log of operator, agent and loader: one line per message on stderr, with the time and the level's first letter."""

from __future__ import annotations

import logging
import sys
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname).1s %(message)s"
"""The time is part of each line because `kubectl logs` shows no time by default."""


def start_logging() -> None:
    """Write messages of level INFO and above to stderr."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=FORMAT)
