# SPDX-License-Identifier: Apache-2.0
"""Evaluate expressions on recorded series with promtool, which has the engine of Prometheus."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.cluster.debian import DebianProgram

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cluster.chart.scrapes import Scrapes

PROMTOOL = DebianProgram("promtool", "promtool")
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Promtool:
    """The program, and a folder for the files that it reads."""

    program: Path
    folder: Path

    def evaluate(self, scrapes: Scrapes, expected: Mapping[str, float | None]) -> str:
        """Compare each expression at the last scrape with its value: one sample without labels, or None for no sample.

        Return promtool's description of every difference. It is empty if there is none.
        """
        at = f"{scrapes.seconds}s"
        checks: list[dict[str, Any]] = [
            {"expr": each, "eval_time": at, "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
            for each, value in expected.items()
        ]
        case = {
            "interval": f"{scrapes.INTERVAL}s",
            "input_series": scrapes.input_series(),
            "promql_expr_test": checks,
        }
        file = self.folder / "rules.test.yaml"
        file.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}, sort_keys=False, width=10_000))
        result = subprocess.run(
            [str(self.program), "test", "rules", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        return f"{result.stdout}{result.stderr}" if result.returncode else ""
