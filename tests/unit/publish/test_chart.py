# SPDX-License-Identifier: Apache-2.0
"""The README and the metadata of the chart agree with its values, its definitions and publish/project.toml."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import yaml

from oompolicy.parse import parse_policy
from publish import readme
from publish.chart import INSTALLED, filled_metadata, filled_values, stage
from publish.project import CHART, Maintainer, Project
from publish.values import read_values
from tests.unit.docs.page import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = (CHART / "values.yaml").read_text()
METADATA: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())
DIGESTS = {"oompolicy": "sha256:" + "a" * 64, "oompolicy-loader": "sha256:" + "b" * 64}
PROJECT = Project(
    "9.8.7", "https://git.test/o", "registry.test/o", "c@o.test", (Maintainer("M", "m@o.test", "https://m.test"),)
)


def test_the_readme_is_that_of_the_values() -> None:
    """`make generated` writes it."""
    assert readme.render(VALUES, Project.load()) == (CHART / "README.md").read_text()


def paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from paths(value, (*above, name))
        else:
            yield (*above, name)


def test_the_readme_has_every_value() -> None:
    """A key of Kubernetes, such as `cpu`, is in the default of the value above it."""
    documented = {each.path for each in read_values(VALUES) if each.default is not None}
    missing = [path for path in paths(yaml.safe_load(VALUES)) if documented.isdisjoint({path, path[:-1]})]

    assert len(documented) > 40
    assert [] == missing


def test_a_comment_of_several_lines_is_one_sentence_of_the_table() -> None:
    group = "# A group.\na:\n  # One fact.\n  # Another | fact.\n  b: 1\n"
    text = f"{group}\n# Not a comment of c.\n\nc: 2\n# A list.\nd: []\n"
    shown = readme.render(text, PROJECT)

    assert "| `a.b` | `1` | One fact. Another &#124; fact. |" in shown
    assert ("| `d` | `[]` | A list. |" in shown, "`c`" in shown) == (True, False)


def test_a_page_that_a_comment_names_is_a_link() -> None:
    """The reader of a package has no folder docs."""
    shown = readme.render("# See docs/kernel.md#a-part.\na: 1\n", PROJECT)

    assert "[docs/kernel.md](https://git.test/o/blob/v9.8.7/docs/kernel.md#a-part)" in shown


def test_the_definitions_of_the_metadata_are_those_of_the_chart() -> None:
    """Artifact Hub shows the list of the metadata."""
    listed = yaml.safe_load(METADATA["annotations"]["artifacthub.io/crds"])
    files = [yaml.safe_load(file.read_text()) for file in (CHECKOUT / "crds").iterdir()]
    defined = {
        (each["spec"]["names"]["kind"], version["name"], each["metadata"]["name"])
        for each in files
        for version in each["spec"]["versions"]
    }

    assert defined == {(each["kind"], each["version"], each["name"]) for each in listed}


def test_the_example_of_the_metadata_is_that_of_the_repository() -> None:
    """It is a valid policy too."""
    (example,) = yaml.safe_load(METADATA["annotations"]["artifacthub.io/crdsExamples"])

    assert yaml.safe_load((CHECKOUT / "examples/demo/batch.yaml").read_text()) == example
    assert parse_policy(example)


def test_a_package_names_registry_and_digests_in_its_values() -> None:
    """All other values and all comments stay."""
    filled = filled_values(VALUES, PROJECT, DIGESTS)
    images = yaml.safe_load(filled)["images"]
    lines = zip(VALUES.splitlines(), filled.splitlines(), strict=True)

    assert "registry.test/o" == images["registry"]
    assert DIGESTS == {name: images[key]["digest"] for key, name in INSTALLED.items()}
    assert ['  registry: ""', '    digest: ""', '    digest: ""'] == [old for old, new in lines if old != new]


def test_values_without_a_place_for_the_digest_are_refused() -> None:
    """The chart would otherwise install an image that nobody has signed."""
    with pytest.raises(ValueError, match="exactly one place"):
        filled_values(VALUES.replace("    digest:", "    hash:"), PROJECT, DIGESTS)


def test_a_package_has_the_addresses_of_the_project() -> None:
    filled = filled_metadata(METADATA, PROJECT, {"oompolicy": DIGESTS["oompolicy"]})
    images = {each["name"]: each["image"] for each in yaml.safe_load(filled["annotations"]["artifacthub.io/images"])}

    assert ("https://git.test/o", ["https://git.test/o"]) == (filled["home"], filled["sources"])
    assert [{"name": "M", "email": "m@o.test", "url": "https://m.test"}] == filled["maintainers"]
    assert {
        "oompolicy": f"registry.test/o/oompolicy@{DIGESTS['oompolicy']}",
        "oompolicy-loader": "registry.test/o/oompolicy-loader:9.8.7",
    } == images
    assert METADATA["annotations"].items() <= filled["annotations"].items()


def test_the_icon_is_a_file_of_the_chart() -> None:
    """The address in the metadata ends with its path, and the picture refers to no other file."""
    icon = filled_metadata(METADATA, PROJECT, {})["icon"]
    path = icon.removeprefix("https://git.test/o/raw/v9.8.7/")
    tree = ElementTree.fromstring((CHECKOUT / path).read_text())  # noqa: S314 (our own file)
    tags = {element.tag.rpartition("}")[2] for element in tree.iter()}

    assert {"title", "desc"} <= tags
    assert tags.isdisjoint({"script", "image", "use", "foreignObject", "text"})


def test_a_package_has_real_files(tmp_path: Path) -> None:
    """A link of the checkout would lead nowhere."""
    copy = stage(tmp_path, PROJECT, DIGESTS)

    assert [] == [file for file in copy.rglob("*") if file.is_symlink()]
    assert (CHECKOUT / "LICENSE").read_text() == (copy / "LICENSE").read_text()
    assert "registry.test/o" in (copy / "README.md").read_text()


def test_placeholders_of_the_project_are_found() -> None:
    """A release with an address of nobody would be published otherwise."""
    assert [] == PROJECT.placeholders
    assert ["https://git.example/o"] == replace(PROJECT, repository="https://git.example/o").placeholders
