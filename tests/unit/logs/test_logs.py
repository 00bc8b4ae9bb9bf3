# SPDX-License-Identifier: Apache-2.0
"""Operator, agent and loader write the same log lines."""

from __future__ import annotations

import json
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


def lines(code: str) -> list[dict[str, object]]:
    """Return the JSON objects that a program writes if its log format is json."""
    program = f"import logging\nfrom oompolicy.logs import FIELDS, start_logging\nstart_logging('json')\n{code}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_json_line_has_time_level_and_message() -> None:
    (line,) = lines('logging.info("a %s\\nb", "\\u00fc")')

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(line.pop("time")))
    assert {"level": "info", "message": "a ü\nb"} == line


def test_json_line_has_the_fields_of_its_message() -> None:
    """A field replaces the member of its name: a victim's time is that of the kill."""
    (line,) = lines('logging.warning("x", extra={FIELDS: {"time": "then", "pid": 7, "spared": None}})')

    assert {"time": "then", "level": "warning", "message": "x", "pid": 7, "spared": None} == line


def test_json_line_of_an_error_has_its_traceback() -> None:
    (line,) = lines("try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('broken')")

    assert "broken" == line["message"]
    assert str(line["traceback"]).endswith("ZeroDivisionError: division by zero")
