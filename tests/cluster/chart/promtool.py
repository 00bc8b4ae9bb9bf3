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
class Alert:
    """An alert that fires, with the labels that its expression adds."""

    summary: str
    node: str = ""
    backend: str = ""

    def expected(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Return the alert of this rule in the notation of promtool."""
        added = {name: value for name, value in (("node", self.node), ("backend", self.backend)) if value}
        labels = {**rule["labels"], **added}
        return {"exp_labels": labels, "exp_annotations": {**rule["annotations"], "summary": self.summary}}


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
        return self._test(scrapes, {"promql_expr_test": checks}, rules=[])

    def alerts(self, scrapes: Scrapes, rules: Mapping[str, Any], expected: Mapping[str, Alert]) -> str:
        """Compare the alerts that fire at the last scrape: each alert by its name.

        `rules` is the content of a rule file. Return promtool's description of every difference.
        """
        file = self.folder / "rules.yaml"
        file.write_text(yaml.safe_dump(dict(rules), width=10_000))
        defined = {each["alert"]: each for group in rules["groups"] for each in group["rules"]}
        at = f"{scrapes.seconds}s"
        firing = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
        count = 'count by (alertname) (ALERTS{alertstate="firing"})'
        checks = {
            "promql_expr_test": [{"expr": count, "eval_time": at, "exp_samples": firing}],
            "alert_rule_test": [
                {"eval_time": at, "alertname": name, "exp_alerts": [alert.expected(defined[name])]}
                for name, alert in expected.items()
            ],
        }
        return self._test(scrapes, checks, rules=[str(file)])

    def _test(self, scrapes: Scrapes, checks: Mapping[str, Any], rules: list[str]) -> str:
        interval = f"{scrapes.INTERVAL}s"
        case = {"interval": interval, "input_series": scrapes.input_series(), **checks}
        file = self.folder / "rules.test.yaml"
        content = {"rule_files": rules, "evaluation_interval": interval, "tests": [case]}
        file.write_text(yaml.safe_dump(content, sort_keys=False, width=10_000))
        result = subprocess.run(
            [str(self.program), "test", "rules", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        return f"{result.stdout}{result.stderr}" if result.returncode else ""
