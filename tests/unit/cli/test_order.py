# SPDX-License-Identifier: Apache-2.0
"""The command `order` numbers the containers of a node, from its agent or from files, and says whose choice applies."""

from __future__ import annotations

import gc
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import pytest
import yaml
from rich.console import Console

from oompolicy.cli import main, orderwatch
from oompolicy.cli.orderlist import amount, heading
from oompolicy.cli.orderwatch import screen, watch
from oompolicy.health import Answer, Limits, serve_locally
from oompolicy.order.facts import PATH, NodeFacts, Running, plain
from tests.unit.policy.factories import raw_pod, raw_policy, raw_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
OTHER_UID = "11111111-1111-4111-8111-111111111111"
FAR_UID = "22222222-2222-4222-8222-222222222222"
WEB = Running("shop", "web-0", "app", 300, "policy", "web", "OOMPolicy web", 64 * MIB, 40 * MIB, 50 * MIB, 999)
DATABASE = Running("shop", "db-0", "app", 900, "annotation", "db", "annotation x", 0, 1500 * MIB, 1600 * MIB, 1000)
SIDECAR = replace(
    WEB, container="proxy", priority=350, source="default", policy=None, memory_request=0, memory=20 * MIB
)
FACTS = NodeFacts(
    "node-1",
    "Enforce",
    "EvaluateTask",
    True,
    (DATABASE, SIDECAR, WEB),
    time="2026-11-28T12:00:00Z",
    totals={"node": 4096 * MIB},
)


@pytest.fixture
def answers() -> list[Answer]:
    """The answer of the agent. A test may replace it."""
    return [Answer(json.dumps(plain(FACTS)).encode())]


@pytest.fixture
def agent(tmp_path: Path, answers: list[Answer]) -> Iterator[str]:
    """Serve on a socket, as an agent does."""
    server = serve_locally(tmp_path / "order.sock", {PATH: lambda: answers[-1]}, Limits())
    yield str(tmp_path / "order.sock")
    server.close()


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    """One pod with a policy, and one without."""
    other = raw_pod(metadata={"name": "other", "uid": OTHER_UID}, nodeName="node-1", containers=[{"name": "app"}])
    policy = raw_policy(
        {"match": {"podSelector": {"matchLabels": {"app": "postgres"}}}, "priority": {"value": 900}}, "db"
    )
    pod = raw_pod(nodeName="node-1", containers=[{"name": "app"}], metadata={"labels": {"app": "postgres"}})
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([pod, other, policy]))
    return str(file)


def test_the_table_begins_with_the_container_that_dies_next(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line above says whose choice applies, and the line below has the priority of all other processes."""
    expected = """\
node-1 · EvaluateTask · Enforce: the policies choose
#   NAMESPACE   POD     CONTAINER   PRIORITY   SOURCE       MEMORY   REQUEST   KERNEL
1   shop        web-0   app         300        web          40Mi     64Mi      2
2   shop        web-0   proxy       350        default      20Mi     -         3
3   shop        db-0    app         900        annotation   1.5Gi    -         1
Processes outside of pods have the priority 1000.
"""
    assert (0, expected, "") == (main(["order", "--socket", agent]), *capsys.readouterr())


@pytest.mark.parametrize(("scope", "margins"), [("node", ["-", "-", "512Mi"]), ("pod/shop/web-0", None)])
def test_a_node_with_scores_has_margins(
    agent: str, answers: list[Answer], scope: str, margins: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The column is missing within a pod, where scores may not have the order, and on the screen too."""
    facts = replace(FACTS, backend="OOMScoreAdj", containers=(replace(DATABASE, margin=512 * MIB), SIDECAR, WEB))
    answers.append(Answer(json.dumps(plain(facts)).encode()))
    main(["order", "--socket", agent, "--scope", scope])
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines()[1:] if line[0] != "P")
    screened = shown(24, facts=facts, scope=scope)

    assert margins == ([row[header.index("MARGIN")] for row in rows] if "MARGIN" in header else None)
    assert ("MARGIN" in screened[1], "512Mi" in "".join(screened)) == (bool(margins), bool(margins))
    main(["order", "--socket", agent, "-o", "json"])
    assert [None, None, 512 * MIB] == [each["margin"] for each in json.loads(capsys.readouterr().out)["order"]]


def test_a_wide_table_has_score_and_reason(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["order", "--socket", agent, "-o", "wide"])

    assert ["2", "999", "OOMPolicy", "web"] == capsys.readouterr().out.splitlines()[2].split()[-4:]


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_data_has_the_facts_too(agent: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Memory is in bytes."""
    main(["order", "--socket", agent, "-o", output])
    found = yaml.safe_load(capsys.readouterr().out)

    assert ("node-1", "Enforce", True, "node") == tuple(found[key] for key in ("node", "mode", "enforcing", "scope"))
    assert (1, "web-0", 300, "web", 40 * MIB, 2) == tuple(
        found["order"][0][key] for key in ("number", "pod", "priority", "policy", "memory", "kernel")
    )


def test_names_are_those_of_pods(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A pod is at the place of its first container. A scope selects."""
    main(["order", "--socket", agent, "-o", "name"])
    main(["order", "--socket", agent, "-o", "name", "--scope", "pod/shop/db-0"])

    assert ["pod/shop/web-0", "pod/shop/db-0", "pod/shop/db-0"] == capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "Audit"}, "node-1 · EvaluateTask · Audit: the kernel's own choice applies"),
        ({"mode": "Off"}, "node-1 · EvaluateTask · Off: the kernel's own choice applies"),
        (
            {"backend": "ObserveOnly", "enforcing": False},
            "node-1 · ObserveOnly · Enforce, but the node does not enforce: the kernel's own choice applies",
        ),
        ({"mode": None, "backend": None}, "node-1 · no report of the loader · the mode is not known"),
    ],
)
def test_the_heading_says_whose_choice_applies(changes: dict[str, object], said: str) -> None:
    assert said == heading(replace(FACTS, **changes))  # type: ignore[arg-type]


def test_files_have_priorities_without_memory(manifests: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lowest priority comes first. No line about other processes is printed, because files do not say it."""
    expected = """\
node-1 · priorities of files, without memory
#   NAMESPACE   POD          CONTAINER   PRIORITY   SOURCE    MEMORY   REQUEST   KERNEL
1   shop        other        app         200        default   -        -         -
2   shop        postgres-0   app         900        db        -        -         -
"""
    assert (0, expected, "") == (main(["order", "-f", manifests]), *capsys.readouterr())


def test_directories_below_are_read_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/pod.json").write_text(json.dumps(raw_pod()))

    assert 1 == main(["order", "-f", str(tmp_path), "-o", "name"])
    assert 0 == main(["order", "-f", str(tmp_path), "-R", "-o", "name"])
    assert "pod/shop/postgres-0\n" == capsys.readouterr().out


def test_files_of_several_nodes_need_a_name(manifests: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pods of different nodes never compete for memory."""
    more = tmp_path / "more.json"
    more.write_text(
        json.dumps(raw_pod(metadata={"name": "far", "uid": "2" * 8 + "-1111-4111-8111-111111111111"}, nodeName="b"))
    )
    with pytest.raises(SystemExit, match="2"):
        main(["order", "-f", manifests, "-f", str(more)])
    assert "the pods of the input are on several nodes: name one of b, node-1" in capsys.readouterr().err

    assert 0 == main(["order", "b", "-f", manifests, "-f", str(more), "-o", "name"])
    assert "pod/shop/far\n" == capsys.readouterr().out


def test_an_answer_that_is_no_order_is_one_sentence(
    agent: str, answers: list[Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence is the agent's own, or says what is wrong with the answer."""
    answers.append(Answer(b"the agent has not read the cgroup tree yet\n", 503))
    assert 1 == main(["order", "--socket", agent])
    answers.append(Answer(b"[]"))
    assert 1 == main(["order", "--socket", agent])
    answers.append(Answer(b"<html>"))
    assert 1 == main(["order", "--socket", agent])
    first, second, third = capsys.readouterr().err.splitlines()

    assert f"Error: the agent at {agent} answered: the agent has not read the cgroup tree yet" == first
    assert "of another version" in second
    assert third.startswith(f"Error: the agent at {agent}: ")


def test_a_missing_socket_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == main(["order", "--socket", str(tmp_path / "no.sock")])
    assert "no.sock: No such file or directory. Check that it runs\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scope", "pod/web-0"], "neither node, kubepods nor pod/NAMESPACE/NAME"),
        (["--socket", "x", "-f", "y"], "--filename excludes --socket and --watch"),
        (["--socket", "x", "node-1"], "--socket asks the agent of this machine"),
        (["--socket", "x", "--watch", "-o", "json"], "--watch has no other format"),
        (["--socket", "x", "--watch"], "--watch needs a terminal"),
    ],
)
def test_flags_that_exclude_each_other_are_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["order", *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (999, "999B"),
        (1000, "1Ki"),
        (64 * MIB, "64Mi"),
        (1500 * MIB, "1.5Gi"),
        (999 * MIB, "999Mi"),
    ],
)
def test_amounts_are_short(size: int | None, text: str) -> None:
    assert text == amount(size)


def shown(height: int, problem: str = "", facts: NodeFacts = FACTS, scope: str = "node") -> list[str]:
    """Return the lines of a screen."""
    console = Console(file=io.StringIO(), width=120, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(screen(facts, scope, height, problem))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_screen_has_bars_and_counts_the_containers_that_do_not_fit() -> None:
    """The bar of the largest container is the longest."""
    lines = shown(24)
    assert "node-1 · EvaluateTask · Enforce: the policies choose · node · 2026-11-28T12:00:00Z" == lines[0]
    assert [1, 1, 20] == [max(1, line.count("█")) for line in lines[2:5]]
    assert "... and 1 more" not in lines

    small = shown(7)
    assert "... and 1 more" in small
    assert ["1", "2"] == [line.split()[0] for line in small[2:4]]


def test_no_name_controls_the_terminal() -> None:
    """A text of another user is escaped on the screen too."""
    evil = replace(FACTS, containers=(replace(WEB, pod="a\x1b[2Jb"),))

    assert "a\\x1b[2Jb" in "\n".join(shown(24, facts=evil))


def test_a_screen_stays_while_the_agent_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is on the screen, with the time of the order. Ctrl-C ends the watch."""
    seen: list[str] = []
    collects: list[bool] = []

    def screened(facts: NodeFacts, scope: str, height: int, problem: str) -> object:
        seen.append(problem)
        return screen(facts, scope, height, problem)

    problems: list[BaseException | None] = [
        *(None, click.ClickException("no agent runs on node node-1"), None, KeyboardInterrupt())
    ]

    def ask() -> NodeFacts:
        collects.append(gc.isenabled())
        if problem := problems.pop(0):
            raise problem
        return FACTS

    gc.disable()  # as the program does for commands that end soon
    monkeypatch.setattr(orderwatch, "screen", screened)
    monkeypatch.setattr("time.sleep", lambda _: None)
    watch(ask, "node")

    assert ["", "no agent runs on node node-1", ""] == seen
    assert all(collects)
    assert "no agent runs on node node-1. Shown is the order of 2026-11-28T12:00:00Z" in shown(24, seen[1])[-1]


def test_files_have_the_priorities_of_their_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = raw_settings({"mode": "Audit", "hostPriority": 900, "defaults": {"bestEffort": 150}})
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([settings, raw_pod()]))

    assert 0 == main(["order", "-f", str(tmp_path / "a.yaml"), "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    assert (900, [150]) == (found["hostPriority"], [each["priority"] for each in found["order"]])
