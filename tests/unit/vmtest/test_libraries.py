# SPDX-License-Identifier: Apache-2.0
"""The guest gets Python packages in pinned versions."""

import tomllib

import pytest

from vmtest.cache import CHECKOUT
from vmtest.errors import BuildError
from vmtest.libraries import name, pins


def project(*dev: str) -> dict[str, object]:
    agent = ["kubernetes>=37", "prometheus_client>=0.23"]
    return {"project": {"optional-dependencies": {"agent": agent}}, "dependency-groups": {"dev": list(dev)}}


def test_the_guest_has_the_agents_packages_in_the_tested_versions() -> None:
    found = pins(project("pytest==9.2.0", "prometheus_client==0.26.0", "kubernetes==37.0.2"))

    assert ["kubernetes==37.0.2", "prometheus_client==0.26.0"] == found


def test_a_package_without_a_pin_is_an_error() -> None:
    """Otherwise the cache would keep the version that was the newest when it was filled."""
    with pytest.raises(BuildError, match=r"does not pin kubernetes$"):
        pins(project("prometheus_client==0.26.0", "kubernetes>=37"))


def test_pyproject_pins_all_of_them() -> None:
    text = (CHECKOUT / "pyproject.toml").read_text()

    assert {"kubernetes", "prometheus_client"} <= {name(each) for each in pins(tomllib.loads(text))}
