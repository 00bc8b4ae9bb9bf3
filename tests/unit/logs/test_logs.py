# SPDX-License-Identifier: Apache-2.0
"""Operator, agent and loader write the same log lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys


def test_a_line_has_time_level_and_message() -> None:
    """A message goes to stderr, and a message below INFO is not written."""
    code = """
import logging
from oompolicy.logs import start_logging
start_logging()
logging.getLogger("a").debug("hidden")
logging.getLogger("a").warning("no answer")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} W no answer\n", done.stderr)
    assert "" == done.stdout
