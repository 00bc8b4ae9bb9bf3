# SPDX-License-Identifier: Apache-2.0
"""The steps of a release that need a registry: `python3 -m publish.steps images|chart|sign|outputs`.

`images` builds and pushes the images with Docker. `chart` pushes the package of the chart with Helm. Both write digests
to dist/digests.json. `sign` signs images, chart and the checksums of the files of dist with cosign.
`outputs` prints registry and digests for a workflow.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publish.chart import IMAGES
from publish.project import CHECKOUT, Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DIST: Final = CHECKOUT / "dist"
BASE: Final = "debian:trixie-slim"
"""The base of the images. All get the same digest of it."""
CHART: Final = "charts/oompolicy"
"""The path of the chart below the registry."""
_PUSHED: Final = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)


def build_command(name: str, project: Project, base: str, revision: str, metadata: Path) -> list[str]:
    """Return the command that builds an image, pushes it, and writes its digest into a file."""
    labels = {"revision": revision, "source": project.repository}
    flags = [word for key, value in labels.items() for word in ("--label", f"org.opencontainers.image.{key}={value}")]
    output = "type=image,push=true,rewrite-timestamp=true"
    flags += ["--build-arg", f"BASE={base}", "--output", output, "--metadata-file", str(metadata)]
    return ["image/build", name, *flags]


def sign_commands(project: Project, digests: Mapping[str, str], dist: Path) -> Iterator[list[str]]:
    """Yield the commands that sign everything. In a workflow, cosign signs with the identity of the workflow."""
    for name, digest in digests.items():
        reference = f"{project.registry}/{name}@{digest}"
        yield ["cosign", "sign", "--yes", reference]
        if name in IMAGES.values():
            bill = ["--type", "cyclonedx", "--predicate", str(dist / f"{name}.cdx.json")]
            yield ["cosign", "attest", "--yes", *bill, reference]
    yield ["cosign", "sign-blob", "--yes", "--bundle", str(dist / "SHA256SUMS.sigstore.json"), str(dist / "SHA256SUMS")]


def run(command: list[str], *, messages: bool = False, **environment: str) -> str:
    """Print the command, run it in the checkout, and return its output, if wanted with its messages on stderr."""
    print(shlex.join(command), file=sys.stderr)
    words = [*(f"{name}={value}" for name, value in environment.items()), *command]
    done = subprocess.run(["env", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr if messages else done.stdout


def read_digests(dist: Path) -> dict[str, str]:
    """Return the digests of everything that is pushed already."""
    file = dist / "digests.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def add_digests(dist: Path, digests: Mapping[str, str]) -> None:
    """Keep digests for the next steps."""
    (dist / "digests.json").write_text(json.dumps({**read_digests(dist), **digests}, indent=2) + "\n")


def push_images(project: Project, dist: Path) -> None:
    """Build and push the images, and keep their digests and their bills of materials."""
    revision = run(["git", "rev-parse", "HEAD"]).strip()
    # Debian 13's buildx prints everything for a template that begins with `.Manifest`.
    inspect = ["docker", "buildx", "imagetools", "inspect", "--format={{json .Manifest}}", BASE]
    base = f"{BASE}@{json.loads(run(inspect))['digest']}"
    for name in IMAGES.values():
        metadata = dist / f"{name}.metadata.json"
        run(build_command(name, project, base, revision, metadata), IMAGES_REGISTRY=project.registry)
        digest = json.loads(metadata.read_text())["containerimage.digest"]
        reference = f"{project.registry}/{name}@{digest}"
        cat = ["docker", "run", "--rm", "--network=none", "--entrypoint=cat"]
        bill = run([*cat, reference, "/opt/oompolicy/sbom.cdx.json"])
        (dist / f"{name}.cdx.json").write_text(bill)
        add_digests(dist, {name: digest})


def push_chart(helm: str, project: Project, dist: Path, *flags: str) -> None:
    """Push the package that `make dist` wrote, and keep its digest."""
    package = dist / f"oompolicy-{project.version}.tgz"
    parent = f"oci://{project.registry}/{CHART.rpartition('/')[0]}"
    printed = run([helm, "push", str(package), parent, *flags], messages=True)
    found = _PUSHED.search(printed)
    if not found:
        raise SystemExit(f"helm push printed no digest, so the chart cannot be signed:\n{printed}")
    add_digests(dist, {CHART: found[1]})


def outputs(project: Project, digests: Mapping[str, str]) -> Iterator[str]:
    """Yield lines `NAME=VALUE`, as later steps of a workflow read them: the registry, and the digest of each image."""
    yield f"registry={project.registry}"
    for key, name in IMAGES.items():
        yield f"{key}={digests[name]}"


def sign(project: Project, dist: Path) -> None:
    """Sign everything that is pushed, and the checksums of the files."""
    for command in sign_commands(project, read_digests(dist), dist):
        run(command)


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description="Run a step of a release that needs a registry.")
    parser.add_argument("step", choices=["images", "chart", "sign", "outputs"])
    parser.add_argument("--registry", help="push to this registry instead of the project's")
    parser.add_argument("--helm", default="helm", help="the program helm")
    parser.add_argument("--dist", type=Path, default=DIST, help="the folder of the release")
    words = parser.parse_args()
    project = Project.load()
    if words.registry:
        project = replace(project, registry=words.registry)
    words.dist.mkdir(parents=True, exist_ok=True)
    if words.step == "images":
        push_images(project, words.dist)
    elif words.step == "chart":
        push_chart(words.helm, project, words.dist)
    elif words.step == "sign":
        sign(project, words.dist)
    else:
        print(*outputs(project, read_digests(words.dist)), sep="\n")


if __name__ == "__main__":
    main()
