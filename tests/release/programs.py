# SPDX-License-Identifier: Apache-2.0
"""Write the programs that the targets find on their path: Docker, Helm and cosign with options of the dry run."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from tests.image.base import NAME
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The registry plays Docker Hub for the base of the images. The Docker Engine unpacks each image that a build pushes, so
# it cannot set the times in its layers. So this Docker writes an archive, and another program pushes it.
_DOCKER = """\
#!/bin/sh
set -eu
docker() {{
	{enter} env --chdir="$PWD" docker "$@"
}}
archive={archive}
tag=
before=
for word; do
	shift
	[ "$before" != --tag ] || tag=$word
	before=$word
	case $word in
	type=image,push=true,*) word=type=oci,dest=$archive,${{word#type=image,push=true,}} ;;
	{base} | BASE={base}@*) word=$(echo "$word" | sed 's,{base},{registry}/{base},') ;;
	esac
	set -- "$@" "$word"
done
if [ "$1 ${{2-}}" != "buildx build" ]; then
	docker "$@"
	exit
fi
shift 2
docker buildx build {options} "$@"
exec {push} "$archive" "$tag"
"""
# The registry speaks HTTP.
_HELM = """\
#!/bin/sh
set -eu
case $1 in
push | pull | install) exec {helm} "$@" --plain-http ;;
*) exec {helm} "$@" ;;
esac
"""
# In a release, cosign signs with the identity of the workflow, and the public log of Sigstore has the signature.
_COSIGN = """\
#!/bin/sh
set -eu
case $1 in
sign | attest | sign-blob)
	verb=$1
	shift
	exec {cosign} "$verb" --key={key} --use-signing-config=false --tlog-upload=false "$@"
	;;
*) exec {cosign} "$@" ;;
esac
"""


def write_docker(folder: Path, enter: Sequence[str], registry: str, options: Sequence[str]) -> None:
    """Write a Docker that runs beside the engine of the tests. `options` are those of a build on this machine."""
    push = ["env", f"--chdir={CHECKOUT}", sys.executable, "-m", "tests.release.push"]
    words = {"enter": enter, "options": options, "archive": [f"{folder}/image.tar"], "push": push}
    quoted = {name: shlex.join(each) for name, each in words.items()}
    _write(folder / "docker", _DOCKER.format(base=NAME, registry=registry, **quoted))


def write_helm(folder: Path, helm: Path) -> Path:
    """Write a Helm that speaks HTTP to registries, and return it."""
    _write(folder / "helm", _HELM.format(helm=shlex.quote(str(helm))))
    return folder / "helm"


def write_cosign(folder: Path, cosign: Path, key: Path) -> None:
    """Write a cosign that signs with a key."""
    _write(folder / "cosign", _COSIGN.format(cosign=shlex.quote(str(cosign)), key=shlex.quote(str(key))))


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
