# SPDX-License-Identifier: Apache-2.0
"""The package of the chart, made by a real helm, is complete and reproducible."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from publish import steps
from publish.chart import package
from publish.project import CHART, Maintainer, Project
from tests.cluster.chart.registry import REGISTRY, running_registry
from tests.cluster.chart.scenarios import containers, named, pod_templates
from tests.cluster.needed import ensured
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.chart.helm import Helm

VERSION = Project.load().version
PROJECT = Project(
    VERSION, "https://git.test/o", "registry.test/o", "c@o.test", (Maintainer("M", "m@o.test", "https://m.test"),)
)
DIGESTS = {"oompolicy": "sha256:" + "a" * 64, "oompolicy-loader": "sha256:" + "b" * 64}


@pytest.fixture(scope="module")
def packed(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(str(helm.program), tmp_path_factory.mktemp("packed"), PROJECT, DIGESTS)


def objects(helm: Helm, chart: Path, *words: str) -> list[dict[str, Any]]:
    place = ("--namespace", "oompolicy-system", "--kube-version", "1.36.4")
    return list(filter(None, yaml.safe_load_all(helm("template", "oompolicy", str(chart), *place, *words))))


def test_two_packages_are_equal(helm: Helm, packed: Path, tmp_path: Path) -> None:
    """A reader can build the package of a tag and compare it with the published one."""
    again = package(str(helm.program), tmp_path, PROJECT, DIGESTS)

    with tarfile.open(packed) as opened:
        times = {each.mtime for each in opened.getmembers()}

    assert {PROJECT.epoch()} == times
    assert packed.read_bytes() == again.read_bytes()


def test_a_package_installs_the_images_of_its_digests(helm: Helm, packed: Path) -> None:
    """Nobody has to set the registry."""
    images = {each["image"] for _, spec in pod_templates(objects(helm, packed)) for each in containers(spec).values()}

    assert {f"registry.test/o/{name}@{digest}" for name, digest in DIGESTS.items()} == images


def test_but_for_its_images_a_package_renders_the_chart(helm: Helm, packed: Path) -> None:
    """Links of the checkout are files in the package."""
    flags = ("--include-crds", "--set", "images.registry=r", "--set", "images.oompolicy.digest=,images.loader.digest=")
    expected = objects(helm, CHART, *flags)

    assert expected == objects(helm, packed, *flags)
    assert len(list((CHECKOUT / "crds").iterdir())) == sum(
        each["kind"] == "CustomResourceDefinition" for each in expected
    )


def test_the_alerts_of_a_package_link_to_their_runbooks(helm: Helm, packed: Path) -> None:
    """A checkout has no address."""
    rule = named(objects(helm, packed, "--set", "prometheusRule.enabled=true"), "PrometheusRule", "oompolicy")
    links = [each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"]]

    assert f"https://git.test/o/blob/v{VERSION}/docs/troubleshooting.md#alert-oompolicymapfull" in links
    assert len(links) == len(set(links))


def test_a_package_has_nothing_to_criticise(helm: Helm, packed: Path) -> None:
    """The checkout has no icon yet, and the package has one."""
    said = helm("lint", "--strict", str(packed))

    assert "0 chart(s) failed" in said
    assert "icon" not in said


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A developer's machine may not reach a Debian mirror, and then the test is skipped. CI must reach one."""
    program = ensured(REGISTRY.ensure, "no docker-registry")
    with running_registry(program, tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_a_pushed_chart_is_pulled_by_its_digest(helm: Helm, registry: str, tmp_path: Path) -> None:
    """The digest that a release signs is that of the chart in the registry."""
    project = replace(PROJECT, registry=f"{registry}/o")
    packed = package(str(helm.program), tmp_path, project, DIGESTS)
    steps.push_chart(str(helm.program), project, tmp_path, "--plain-http")
    digest = steps.read_digests(tmp_path)[steps.CHART]
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    reference = f"oci://{registry}/o/{steps.CHART}@{digest}"
    helm("pull", reference, "--plain-http", "--destination", str(pulled))

    (chart,) = pulled.glob("*.tgz")
    assert packed.read_bytes() == chart.read_bytes()
    assert f"  registry: {registry}/o\n" in helm("show", "values", reference, "--plain-http")
