# SPDX-License-Identifier: Apache-2.0
"""The log of operator, agent and loader on stderr: lines for people, or one JSON object per line for programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]

FORMAT: Final = "%(asctime)s %(levelname).1s %(message)s"
"""The time is part of each line because `kubectl logs` shows no time by default."""

FIELDS: Final = "fields"
"""The key of `extra` for a mapping that becomes the members of the JSON object."""


def start_logging(log_format: LogFormat = "text") -> None:
    """Write messages of level INFO and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class JsonLines(logging.Formatter):
    """One JSON object per message: `time`, `level` and `message`, and the members of `FIELDS`, which replace these."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. A traceback is the member `traceback`."""
        time = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": f"{time:%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
