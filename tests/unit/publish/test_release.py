# SPDX-License-Identifier: Apache-2.0
"""A release has the digests of the pushed images, and everything in it is signed. A commit may be refused.

Docker and cosign are played by a program that writes down its arguments.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from publish import steps
from publish.chart import IMAGES, read_digests
from publish.check import problems
from publish.notes import notes
from publish.project import Maintainer, Project
from tests.unit.docs.page import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = Project("0.1.0", "https://git.test/o", "registry.test/o", "c@o.test", (Maintainer("M", "m@o.test", "u"),))
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n"
DIGEST = "sha256:" + "a" * 64
BASE_DIGEST = "sha256:" + "c" * 64
# A build writes the digest of the image into the file of its option. A run pulls the image, and prints a bill.
PLAYED = f"""#!/bin/sh
echo "$(basename "$0") $*" >>"$PLAYED_LOG"
case "$1" in
run) echo "Unable to find image locally" >&2 && echo bill ;;
buildx) [ "$2" != imagetools ] || echo '{{"digest": "{BASE_DIGEST}"}}' ;;
esac
while [ $# -gt 1 ]; do
	[ "$1" = --metadata-file ] && echo '{{"containerimage.digest": "{DIGEST}"}}' >"$2"
	shift
done
exit 0
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments of all calls of docker and cosign."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "cosign"):
        (programs / name).write_text(PLAYED)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PLAYED_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_each_image_is_pushed_below_the_registry_and_its_digest_is_kept(log: Path, tmp_path: Path) -> None:
    """The bill of materials comes from the pushed image, and not from one with the same tag."""
    steps.push_images(PROJECT, tmp_path)
    builds = [line for line in log.read_text().splitlines() if line.startswith("docker buildx build")]
    bills = [line for line in log.read_text().splitlines() if line.startswith("docker run")]

    assert ["oompolicy", "oompolicy-loader", "oompolicy-debug"] == [
        line.partition("--target ")[2].split()[0] for line in builds
    ]
    assert [f"registry.test/o/{name}:0.1.0" for name in IMAGES.values()] == [
        line.partition("--tag ")[2].split()[0] for line in builds
    ]
    assert {f"BASE=debian:trixie-slim@{BASE_DIGEST}"} == {
        word for line in builds for word in line.split() if word.startswith("BASE=")
    }
    assert all("push=true" in line and "image.source=https://git.test/o" in line for line in builds)
    assert all(f"@{DIGEST} " in line for line in bills)
    assert dict.fromkeys(IMAGES.values(), DIGEST) == steps.read_digests(tmp_path)
    assert "bill\n" == (tmp_path / "oompolicy.cdx.json").read_text(), "without the messages of the pull"


def test_a_workflow_gets_registry_and_digests() -> None:
    """It attests the provenance of each image by its digest."""
    digests = {"oompolicy": DIGEST, "oompolicy-loader": BASE_DIGEST, "oompolicy-debug": DIGEST, steps.CHART: DIGEST}

    assert ["registry=registry.test/o", f"oompolicy={DIGEST}", f"loader={BASE_DIGEST}", f"debug={DIGEST}"] == list(
        steps.outputs(PROJECT, digests)
    )


def test_without_a_registry_an_image_has_the_name_of_its_target(log: Path) -> None:
    """docs/images.md describes this command."""
    subprocess.run([str(CHECKOUT / "image/build"), "oompolicy", "--load"], check=True)

    assert "--tag oompolicy:0.1.0 " in log.read_text()


def test_everything_that_is_pushed_is_signed(log: Path, tmp_path: Path) -> None:
    """Images have an attestation too, and one signature covers the checksums of all files."""
    steps.add_digests(tmp_path, {"oompolicy": DIGEST})
    steps.add_digests(tmp_path, {"oompolicy-debug": DIGEST})
    steps.add_digests(tmp_path, {steps.CHART: DIGEST})
    steps.sign(PROJECT, tmp_path)

    assert [
        f"cosign sign --yes registry.test/o/oompolicy@{DIGEST}",
        f"cosign attest --yes --type cyclonedx --predicate {tmp_path}/oompolicy.cdx.json "
        f"registry.test/o/oompolicy@{DIGEST}",
        f"cosign sign --yes registry.test/o/oompolicy-debug@{DIGEST}",
        f"cosign attest --yes --type cyclonedx --predicate {tmp_path}/oompolicy-debug.cdx.json "
        f"registry.test/o/oompolicy-debug@{DIGEST}",
        f"cosign sign --yes registry.test/o/charts/oompolicy@{DIGEST}",
        f"cosign sign-blob --yes --bundle {tmp_path}/SHA256SUMS.sigstore.json {tmp_path}/SHA256SUMS",
    ] == log.read_text().splitlines()


def test_the_package_of_the_chart_gets_the_digests_of_its_images_alone(tmp_path: Path) -> None:
    """The file also has that of the debug image, and that of the chart, once it is pushed."""
    steps.add_digests(tmp_path, {"oompolicy": DIGEST, "oompolicy-debug": DIGEST, steps.CHART: "sha256:" + "b" * 64})

    assert {"oompolicy": DIGEST} == read_digests(tmp_path / "digests.json")
    assert {} == read_digests(tmp_path / "none.json")


def test_a_step_that_fails_ends_the_release_with_its_output() -> None:
    with pytest.raises(SystemExit, match=r"sh failed with status 2:\nbefore\nafter"):
        steps.run(["sh", "-c", "echo before; echo after >&2; exit 2"])


def test_a_commit_that_is_ready_has_no_problems() -> None:
    assert [] == list(problems(PROJECT, CHANGELOG, [], "v0.1.0"))
    assert [] == list(problems(PROJECT, CHANGELOG, [], None))


@pytest.mark.parametrize(
    ("project", "changelog", "changed", "tag", "sentence"),
    [
        (PROJECT, CHANGELOG, [], "v0.2.0", "tag v0.2.0: pyproject.toml has version 0.1.0: use the tag v0.1.0"),
        (PROJECT, "## [Unreleased]\n", [], None, "CHANGELOG.md: there is no heading `## [0.1.0] - DATE`"),
        (PROJECT, CHANGELOG, ["a.py"], None, "the checkout: 1 files are not committed, such as a.py: commit them"),
        (Project.load(), CHANGELOG, [], None, "publish/project.toml: https://git.example/oompolicy/oompolicy is a"),
    ],
)
def test_a_commit_that_is_not_ready_is_refused(
    project: Project, changelog: str, changed: list[str], tag: str | None, sentence: str
) -> None:
    """The sentence names the file, and what to change there."""
    found = list(problems(project, changelog, changed, tag))

    assert found[0].startswith(sentence)


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    """Before the release, the section has the name Unreleased."""
    changelog = "# Changelog\n\n## [Unreleased]\n\n- new\n\n## [0.1.0] - 2026-12-01\n\n### Added\n\n- old\n"

    assert "### Added\n\n- old\n" == notes(changelog, "0.1.0")
    assert "- new\n" == notes(changelog, "0.2.0")
