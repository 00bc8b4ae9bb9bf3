# SPDX-License-Identifier: Apache-2.0
"""The README and the first commands of the install page agree with the rest of the project."""

from __future__ import annotations

import re

import yaml

from tests.realnode.pods import IMAGE
from tests.unit.docs.page import CHECKOUT, section

README = (CHECKOUT / "README.md").read_text()


def test_the_pods_in_the_readme_have_the_image_of_this_version() -> None:
    """The node has no other image and could not fetch one."""
    named = re.findall(r"--image=(\S+)", README)

    assert {IMAGE} == set(named)


def test_the_first_pod_of_the_install_page_has_the_image_of_this_version() -> None:
    """The registry has it already, because the chart has the same registry and version."""
    named = re.findall(r"--image=(\S+)", section("install.md", "The first policy"))

    assert [f"registry.example/platform/{IMAGE}"] == named


def test_its_policies_are_those_of_the_files_that_it_applies() -> None:
    text = section("../README.md", "The first policy")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    files = re.findall(r"-f (examples/\S+)", text)

    assert 2 == len(files)
    assert [yaml.safe_load((CHECKOUT / file).read_text()) for file in files] == list(yaml.safe_load_all(shown))


def test_its_programs_exist_where_it_runs_them() -> None:
    """`make setup` creates `.venv`, and `make realnode` the settings of its cluster."""
    for command, result in (("make setup", ".venv/bin/"), ("make realnode", "build/realnode.env")):
        assert 0 <= README.find(f"\n{command}\n") < README.find(result), result
