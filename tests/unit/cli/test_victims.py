# SPDX-License-Identifier: Apache-2.0
"""`victims` reads the logs and the Events of agents from files, and follows a cluster."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest

from oompolicy.cli import main, victimwatch
from oompolicy.cli.victimlist import Victim
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.victims.event import event
from oompolicy_agent.victims.log import log_of
from oompolicy_agent.victims.manifestfile import as_json_line, as_yaml
from tests.unit.agent.victims.test_event import named

if TYPE_CHECKING:
    from pathlib import Path

NAMED = named(flags=VictimFlag.SELECTED)
OFFSET = int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()) * 10**9
LOG = json.dumps(log_of(NAMED, "node-1", OFFSET))
EVENT = event(NAMED, "node-1", OFFSET, disclose=True)
OTHER = json.dumps({"time": "2026-11-28T12:00:00Z", "level": "info", "message": "running on node node-1"})


def found(file: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> list[dict[str, object]]:
    assert 0 == main(["victims", "-f", str(file), "-o", "json", *flags])
    return list(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "text",
    [
        f"{OTHER}\n{LOG}\n",
        f"[pod/oompolicy-agent-x/agent] 2026-11-28T12:00:00Z {LOG}\nnot json\n",
        as_json_line(EVENT),
        as_yaml(EVENT),
    ],
)
def test_logs_and_events_of_an_agent_have_the_victim(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other lines are skipped. All victims of a file are shown, also old ones."""
    file = tmp_path / "agent.log"
    file.write_text(text)
    (only,) = found(file, capsys)

    line = json.loads(LOG)
    assert [line[key] for key in ("node", "namespace", "pod", "container", "process", "pid", "priority")] == [
        only[key] for key in ("node", "namespace", "pod", "container", "process", "pid", "priority")
    ]
    assert [] == found(file, capsys, "-n", "elsewhere")
    assert (line["scope"], line["message"]) == (only["scope"], only["message"])


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A victim that a log has twice is shown once."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LOG}\n{LOG}\n"))

    assert 0 == main(["victims", "-f", "-", "-o", "name"])
    line = json.loads(LOG)
    assert f"pod/{line['namespace']}/{line['pod']}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [("2026-11-28 12:00:00 I running\n", "agents log JSON with --log-format json"), (None, "No such file")],
)
def test_a_file_without_json_is_an_error(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log for people has no fields."""
    file = tmp_path / "agent.log"
    if text is not None:
        file.write_text(text)

    assert 1 == main(["victims", "-f", str(file)])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["-f", "x"], ["-o", "json"]])
def test_only_the_table_of_a_cluster_is_followed(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["victims", "--watch", *flags])
    assert "--watch prints the table of a cluster" in capsys.readouterr().err


def test_each_victim_is_printed_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An Event that counts more victims is printed again. An error is printed once, and Ctrl-C ends the command."""
    now = datetime.now(UTC)
    first = Victim(time=now, last=now, node="node-1", namespace="shop", pod="web-0", process="java")
    again = Victim(time=now, last=now, node="node-1", namespace="shop", pod="web-0", process="java", count=2)
    second = Victim(time=now + timedelta(seconds=1), last=now, node="node-1", process="sshd")
    away = click.ClickException("no answer")
    answers: list[list[Victim] | BaseException] = [
        *([first], [first], away, away, [first, second], [again, second], KeyboardInterrupt())
    ]

    def ask() -> list[Victim]:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr("time.sleep", lambda _: None)
    victimwatch.watch(ask, wide=False)
    shown, said = capsys.readouterr()

    assert ["PROCESS", "java", "sshd", "java"] == [line.split()[5] for line in shown.splitlines()]
    assert "no answer\n" == said
