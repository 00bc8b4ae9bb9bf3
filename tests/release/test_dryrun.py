# SPDX-License-Identifier: Apache-2.0
"""A user of the registry gets images, chart, command line and signatures of one release."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
import yaml

from publish import steps
from publish.chart import IMAGES, INSTALLED
from tests.cluster.chart.helm import Helm
from tests.cluster.chart.scenarios import containers, pod_templates
from tests.release.dryrun import make_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.release.dryrun import DryRun

MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
PUSHED = (*IMAGES.values(), steps.CHART)


def ask(released: DryRun, path: str) -> tuple[str, dict[str, Any]]:
    """Ask the registry for a file below the project. Return its digest and its content."""
    url = f"http://{released.registry}/v2/{released.clone.project.registry.partition('/')[2]}/{path}"
    answer = urllib3.request("GET", url, headers={"Accept": MANIFESTS}, timeout=30.0)
    return answer.headers["Docker-Content-Digest"], answer.json()


def verify(released: DryRun, verb: str, *words: str, key: str = "cosign") -> str:
    """Verify as a user does who has the public key. The AssertionError has the reason of cosign."""
    flags = (f"--key={released.keys}/{key}.pub", "--insecure-ignore-tlog")
    return released.clone.run(str(released.cosign), verb, *flags, *words)


@pytest.mark.parametrize("name", PUSHED)
def test_the_registry_has_the_tag_of_the_version(released: DryRun, name: str) -> None:
    """The tag leads to the digest that the release has kept."""
    digest, _ = ask(released, f"{name}/manifests/{released.clone.project.version}")

    assert released.digests[name] == digest


@pytest.mark.parametrize("name", IMAGES.values())
def test_an_image_is_of_the_released_commit(released: DryRun, name: str) -> None:
    """It is for amd64. Images for arm64 are not built yet."""
    _, manifest = ask(released, f"{name}/manifests/{released.digests[name]}")
    _, config = ask(released, f"{name}/blobs/{manifest['config']['digest']}")
    commit = released.clone.run("git", "rev-parse", f"{released.clone.project.tag}^{{commit}}").strip()

    assert ("linux", "amd64") == (config["os"], config["architecture"])
    assert {
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": "https://git.test/oompolicy",
        "org.opencontainers.image.version": released.clone.project.version,
    }.items() <= config["config"]["Labels"].items()


def test_the_chart_of_the_registry_installs_the_pushed_images(released: DryRun, tmp_path: Path) -> None:
    """`helm install oci://...` needs no values."""
    helm, project = Helm(released.helm, tmp_path), released.clone.project
    place = (f"oci://{project.registry}/{steps.CHART}", "--version", project.version)
    helm("pull", *place, "--destination", str(tmp_path))
    (pulled,) = tmp_path.glob("*.tgz")
    printed = helm("template", "oompolicy", str(pulled), "--namespace", "oompolicy-system")
    objects = list(filter(None, yaml.safe_load_all(printed)))
    images = {each["image"] for _, spec in pod_templates(objects) for each in containers(spec).values()}

    assert (released.clone.dist / pulled.name).read_bytes() == pulled.read_bytes()
    assert {
        f"{project.registry}/{name}@{ask(released, f'{name}/manifests/{project.version}')[0]}"
        for name in INSTALLED.values()
    } == images


@pytest.mark.parametrize("name", PUSHED)
def test_everything_pushed_is_signed(released: DryRun, name: str) -> None:
    """cosign also prints the attestation of an image."""
    signed = [each["critical"] for each in json.loads(verify(released, "verify", released.reference(name)))]

    assert "https://sigstore.dev/cosign/sign/v1" in [each["type"] for each in signed]
    assert {released.digests[name]} == {each["image"]["docker-manifest-digest"] for each in signed}


def test_the_signature_is_of_this_key_alone(released: DryRun) -> None:
    """The test above can therefore fail."""
    make_key(released.clone, released.cosign, released.keys, "other")

    with pytest.raises(AssertionError, match="failed to verify signature"):
        verify(released, "verify", released.reference("oompolicy"), key="other")


@pytest.mark.parametrize("name", IMAGES.values())
def test_the_bill_of_materials_is_attested(released: DryRun, name: str) -> None:
    """It is the file of the release, and names the packages of the image."""
    printed = verify(released, "verify-attestation", "--type=cyclonedx", released.reference(name))
    statement = json.loads(base64.b64decode(json.loads(printed)["payload"]))
    bill = json.loads((released.clone.dist / f"{name}.cdx.json").read_text())

    assert bill == statement["predicate"]
    own = "kubernetes" if name in INSTALLED.values() else "python3-bpfcc"
    assert {"libc6", "python3", own} <= {each["name"] for each in bill["components"]}
    assert [released.digests[name]] == [f"sha256:{each['digest']['sha256']}" for each in statement["subject"]]


def test_one_signature_covers_all_files(released: DryRun) -> None:
    """The page of the release has these files."""
    dist = released.clone.dist
    verify(released, "verify-blob", f"--bundle={dist}/SHA256SUMS.sigstore.json", f"{dist}/SHA256SUMS")
    released.clone.run("env", f"--chdir={dist}", "sha256sum", "--check", "--strict", "SHA256SUMS")
    covered = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    patterns = ("*.whl", "*.pyz", "*.tar.gz", "*.tgz", "oom.yaml", "*.cdx.json")

    assert {each.name for pattern in patterns for each in dist.glob(pattern)} == covered
    assert {f"{name}.cdx.json" for name in IMAGES.values()} <= covered
    assert 8 <= len(covered)


def test_the_command_line_has_the_version_of_the_release(released: DryRun, tmp_path: Path) -> None:
    """The plugin of kubectl is the same file."""
    (program,) = released.clone.dist.glob("*.pyz")
    (plugin,) = released.clone.dist.glob("*.tar.gz")
    done = subprocess.run([sys.executable, str(program), "--version"], stdout=subprocess.PIPE, text=True, check=True)
    with tarfile.open(plugin) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = (each for each in tmp_path.rglob("kubectl-oom*") if each.is_file())

    assert released.clone.project.version in done.stdout
    assert program.read_bytes() == unpacked.read_bytes()


def test_a_workflow_gets_the_pushed_digests(released: DryRun) -> None:
    """The workflow attests the provenance of these."""
    printed = released.clone.make("release-outputs").splitlines()

    assert [
        f"registry={released.clone.project.registry}",
        *(f"{key}={released.digests[name]}" for key, name in IMAGES.items()),
    ] == printed
