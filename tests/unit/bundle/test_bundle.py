# SPDX-License-Identifier: Apache-2.0
"""The files of a release run without this checkout, are equal in each build, and belong together."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from bundle.krew import PROGRAM
from bundle.main import Built, build
from oompolicy.cli.program import COMMANDS
from publish.project import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[3]
URL = "https://releases.example/oompolicy/"
NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {"token": "t"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("dist"), URL)


def alone(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a zipapp with Python's standard library alone."""
    command: Sequence[str | Path] = [sys.executable, "-I", "-S", program, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_zipapp_has_everything_that_a_command_imports(built: Built, command: str) -> None:
    """The help of a command is printed after its imports."""
    done = alone(built.zipapp, command, "--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(f"Usage: oompolicy {command}")


def test_the_zipapp_reads_files(built: Built) -> None:
    """PyYAML is there without its compiled part."""
    done = alone(built.zipapp, "resolve", ROOT / "examples/demo", "-o", "json")

    assert (0, "") == (done.returncode, done.stderr)
    assert {"batch", "shop"} == {each["namespace"] for each in json.loads(done.stdout)}


def test_the_zipapp_reads_a_kubeconfig(built: Built, tmp_path: Path) -> None:
    """All of the client is there that a request needs. No server listens at the address."""
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(NOWHERE))
    done = alone(built.zipapp, "nodes", "--kubeconfig", file)

    assert 1 == done.returncode
    assert "no answer from https://127.0.0.1:1: [Errno 111] Connection refused\n" in done.stderr


def test_the_zipapp_has_no_compiled_code_and_the_licences_of_its_packages(built: Built) -> None:
    """One file serves all machines. A licence asks to stay with the code."""
    names = zipfile.ZipFile(built.zipapp).namelist()
    licences = [name.lower() for name in names if name.startswith("licenses/")]
    code = [name for name in names if not name.startswith(("licenses/", "oompolicy-"))]

    assert {".py", ".pem", ".typed"} == {Path(name).suffix for name in code}
    for package in ("click", "rich", "urllib3", "pyyaml", "certifi", "requests", "kubernetes"):
        assert any(name.startswith(f"licenses/{package}-") for name in licences), package


def test_two_builds_are_equal(built: Built, tmp_path: Path) -> None:
    """Everybody can check that an archive is made of this source."""
    again = build(tmp_path, URL)

    assert [file.read_bytes() for file in built] == [file.read_bytes() for file in again]


def test_the_krew_manifest_describes_the_archive(built: Built) -> None:
    """krew checks the digest, and installs the files that the manifest names."""
    manifest = yaml.safe_load(built.manifest.read_text())
    (platform,) = manifest["spec"]["platforms"]
    with tarfile.open(built.plugin) as archive:
        members = {each.name: each.mode for each in archive.getmembers()}

    assert ("Plugin", {"name": "oom"}) == (manifest["kind"], manifest["metadata"])
    assert re.fullmatch(r"v\d+\.\d+\.\d+", manifest["spec"]["version"])
    assert Project.load().repository == manifest["spec"]["homepage"]
    assert URL + built.plugin.name == platform["uri"]
    assert hashlib.sha256(built.plugin.read_bytes()).hexdigest() == platform["sha256"]
    assert {PROGRAM: 0o755, "LICENSE": 0o644} == members
    assert set(members) == {each["from"] for each in platform["files"]}
    assert PROGRAM == platform["bin"]
    assert len(manifest["spec"]["shortDescription"]) <= 50
