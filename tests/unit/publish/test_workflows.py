# SPDX-License-Identifier: Apache-2.0
"""The workflows only call make, with fixed actions and few permissions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from publish.chart import IMAGES
from tests.unit.docs.page import CHECKOUT

WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))
LOADED: dict[str, dict[str, Any]] = {file.name: yaml.safe_load(file.read_text()) for file in WORKFLOWS}
JOBS = [(f"{name}/{job}", body) for name, loaded in LOADED.items() for job, body in loaded["jobs"].items()]
# PyPA recommends its branch, and every other action is a commit.
BRANCHES = {"pypa/gh-action-pypi-publish@release/v1", "./.github/workflows/ci.yml"}
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")


def steps(body: dict[str, Any]) -> list[dict[str, Any]]:
    return list(body.get("steps", ()))


def test_ci_runs_the_commands_of_a_developer() -> None:
    """`.ci/run` has the same targets."""
    targets = LOADED["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]["target"]

    assert f"exec make {' '.join(targets)}\n" in (CHECKOUT / ".ci/run").read_text()


def test_make_has_each_target_of_a_workflow() -> None:
    rules = set(re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    called = {
        target
        for file in WORKFLOWS
        for target in re.findall(r"run: make (?:--silent )?([a-z][a-z-]*)", file.read_text())
    }

    release = {f"release-{step}" for step in ("check", "images", "chart", "sign", "outputs", "site")}
    assert {"dist", *release} == called
    assert called <= rules


def test_the_files_of_the_page_are_those_of_dist() -> None:
    """A misspelt pattern would fail only in the last job of a release."""
    (page,) = (each["run"] for each in steps(LOADED["release.yml"]["jobs"]["page"]) if "run" in each)
    recipe = (CHECKOUT / "Makefile").read_text().partition("\ndist: setup")[2].partition("\n\n")[0]

    assert {"*.whl", "*.pyz", "*.tar.gz", "*.tgz", "*.cdx.json"} == set(re.findall(r"dist/(\*\S+)", page))
    assert all(f" {each}" in recipe for each in ("*.whl", "*.pyz", "*.tar.gz", "*.tgz"))
    assert "publish.notes --into dist" in recipe


def test_the_provenance_of_each_image_is_attested() -> None:
    """The outputs of the step before have the keys of the images."""
    inputs = [
        each["with"] for each in steps(LOADED["release.yml"]["jobs"]["push"]) if "subject-name" in each.get("with", {})
    ]
    pushed = "${{ steps.pushed.outputs"

    assert [(f"{pushed}.registry }}}}/{name}", f"{pushed}.{key} }}}}", True) for key, name in IMAGES.items()] == [
        (each["subject-name"], each["subject-digest"], each["push-to-registry"]) for each in inputs
    ]


@pytest.mark.parametrize(("name", "body"), JOBS, ids=[name for name, _ in JOBS])
def test_an_action_is_a_commit(name: str, body: dict[str, Any]) -> None:
    """The owner of an action can move a tag."""
    used = {each["uses"] for each in [body, *steps(body)] if "uses" in each}

    assert set() == {each for each in used - BRANCHES if not PINNED.fullmatch(each)}, name


@pytest.mark.parametrize("name", LOADED)
def test_a_workflow_may_only_read_unless_a_job_says_more(name: str) -> None:
    assert {"contents": "read"} == LOADED[name]["permissions"]


def test_only_the_jobs_that_publish_have_more_permissions() -> None:
    more = {name: body["permissions"] for name, body in JOBS if "permissions" in body}

    assert {
        "release.yml/push": {"contents": "read", "id-token": "write", "attestations": "write"},
        "release.yml/pypi": {"id-token": "write"},
        "release.yml/page": {"contents": "write"},
        "release.yml/site": {"contents": "write"},
    } == more


def test_no_secret_is_in_a_command_line() -> None:
    """A value of an expression in a command could also run code."""
    commands = [each["run"] for _, body in JOBS for each in steps(body) if "run" in each]

    assert len(commands) > 10
    assert [] == [each for each in commands if "${{" in each]
