# SPDX-License-Identifier: Apache-2.0
"""`lint` checks the pods that you select as in `resolve`, with the policies that select them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.cli import main
from tests.unit.policy.factories import raw_pod, raw_policy, raw_settings

if TYPE_CHECKING:
    from pathlib import Path

WRONG = "Pod/batch/report: metadata.annotations[oompolicy.dev/priority]: "
OVERLAP = "warning: OOMPolicy/low: spec.precedence: has the same precedence (0) as OOMPolicy too, and both match"
UNUSED = "warning: OOMPolicy/unused: spec.match: selects none of the 3 pods of this input"


def policy(name: str, app: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    match = {"podSelector": {"matchLabels": {"app": app}}}
    return raw_policy({"match": match, "priority": {"value": 50}, **spec}, name)


def pod(namespace: str, name: str, app: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": name, "labels": {"app": app}}
    return raw_pod(metadata={**metadata, "annotations": annotations or {}})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three pods, one of them with a mistake, and two policies that overlap for another one."""
    objects = [
        policy("unused", "none"),
        pod("batch", "report", "report", {"oompolicy.dev/priority": "low"}),
        policy("low", "web"),
        pod("shop", "web", "web"),
        policy("too", "web"),
        pod("shop", "cache", "cache"),
    ]
    made = tmp_path / "all.yaml"
    made.write_text(yaml.safe_dump_all(objects))
    return made


def lines(file: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines without the name of the file, each up to the end of the expected ones."""
    status = main(["lint", str(file), *flags])
    out = capsys.readouterr().out.replace(f"{file}: ", "").splitlines()
    return status, [next((known for known in (WRONG, OVERLAP, UNUSED) if each.startswith(known)), each) for each in out]


@pytest.mark.parametrize(
    ("flags", "status", "expected"),
    [
        ([], 1, [WRONG, UNUSED, OVERLAP]),
        (["-n", "batch"], 1, [WRONG]),
        (["-n", "shop"], 0, [OVERLAP]),
        (["-n", "shop", "--strict"], 1, [OVERLAP]),
        (["-l", "app=web"], 0, [OVERLAP]),
        (["-l", "app in (cache)"], 0, []),
        (["--policy", "low"], 0, [OVERLAP]),
        (["-n", "shop", "-l", "app=report"], 0, ["No pod of this input is selected."]),
        (["--policy", "too"], 0, ["No pod of this input is selected."]),
    ],
)
def test_only_the_selected_pods_and_their_policies_are_checked(
    flags: list[str], status: int, expected: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`too` gives no pod its priority, because `low` wins by its name. A selection without pods says so."""
    assert (status, expected) == lines(file, capsys, *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--policy", "lwo"], "policy lwo: is not in the input; the policies there are low, too, unused"),
        (["-n", "shpo"], "namespace shpo: is not in the input; the namespaces there are batch, shop"),
    ],
)
def test_a_misspelt_name_is_a_mistake(
    flags: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No mistake at all would look like a correct input."""
    assert (1, [message, "No pod of this input is selected."]) == lines(file, capsys, *flags)


def test_an_object_that_cannot_be_read_is_always_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no labels to select by. Warnings about settings concern all pods."""
    settings = raw_settings({"mode": "Audit", "nodeModes": [{"nodeSelector": {}, "mode": "Off"}] * 2})
    wrong = policy("wrong", "web", priority={"value": 2000})
    made = tmp_path / "all.yaml"
    made.write_text(yaml.safe_dump_all([wrong, settings, pod("shop", "web", "web")]))
    status, found = lines(made, capsys, "-l", "app=web")

    assert (1, 2) == (status, len(found))
    assert found[0].startswith("OOMPolicy/wrong: spec.priority.value: must be from 0 to 1000")
    assert found[1].startswith("warning: OOMSettings/cluster: spec.nodeModes[1]: never applies")


def test_an_input_without_pods_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a selection, the policies alone are checked."""
    made = tmp_path / "all.yaml"
    made.write_text(yaml.safe_dump_all([policy("low", "web"), policy("too", "web")]))

    assert (0, ["No pod is in this input."]) == lines(made, capsys, "-l", "app=web")
    status, (overlap,) = lines(made, capsys)
    assert (0, True) == (status, "a pod can match both" in overlap)
