# SPDX-License-Identifier: Apache-2.0
"""The contents of the images."""

from __future__ import annotations

import json
import re
import socket
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from tests.image import outside
from tests.image.build import INSTALLED, NAMES, ensure_second_build
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.image.archive import Archive
    from tests.image.build import Images
    from tests.image.conftest import Run

MB = 10**6
GOAL = 150 * MB
COMPILERS = re.compile(r"^(cc|c\+\+|gcc|g\+\+|clang|cpp|ld|as|make)(-\d+)?$|^lib(LLVM|clang)|^cc1")
PLAIN = {"", "[global]"}
SBOM = "opt/oompolicy/sbom.cdx.json"


def test_the_image_of_operator_and_agent_meets_its_size_goal(archive: Callable[[str], Archive]) -> None:
    """The image takes at most 150 MB on a node's disk. The test prints the size of the loader's image too."""
    sizes = {name: archive(name).size() for name in NAMES}
    for name, size in sizes.items():
        print(f"{name}: {size.packed / MB:.1f} MB to fetch, {size.unpacked / MB:.1f} MB on disk")

    assert sizes["oompolicy"].unpacked <= GOAL


@pytest.mark.second_build
def test_a_second_build_gives_the_same_digests(images: Images, archive: Callable[[str], Archive]) -> None:
    """An engine that has never built anything builds the same images."""
    again = ensure_second_build()

    assert {name: archive(name).layers for name in NAMES} == {name: again.archive(name).layers for name in NAMES}
    assert {name: archive(name).digest for name in NAMES} == {name: again.archive(name).digest for name in NAMES}
    assert images.packages == again.packages


def test_operator_and_agent_have_no_compiler_and_no_pip(archive: Callable[[str], Archive]) -> None:
    """The same pattern finds the compiler in the loader's image, so the pattern works."""
    found = {name: {PurePath(one.name).name for one, _ in archive(name).members() if not one.isdir()} for name in NAMES}

    assert [] == sorted(name for name in found["oompolicy"] if COMPILERS.match(name))
    assert {"gcc-14", "make"} <= {name for name in found["oompolicy-loader"] if COMPILERS.match(name)}
    assert "pip" not in found["oompolicy"] | found["oompolicy-loader"]


def test_only_the_debug_image_has_llvm(archive: Callable[[str], Archive]) -> None:
    """No image that an installation runs has a compiler framework."""
    names = {name: {one.name for one, _ in archive(name).members()} for name in NAMES}
    llvm = {name: [path for path in paths if "LLVM" in path or "clang" in path] for name, paths in names.items()}

    assert ["oompolicy-debug"] == [name for name, found in llvm.items() if found]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_no_trace_of_the_build_machine(archive: Callable[[str], Archive], name: str) -> None:
    """The layers and the history have no mirror, proxy, authority, path or host name of the build machine."""
    secrets = outside.secrets()
    # Python's certifi has the common authorities too. Only the whole file belongs to this machine.
    bundle = secrets.pop("ca.pem", "").encode()
    traces = {
        str(CHECKOUT),
        *(f"/run/secrets/{name}" for name in secrets),
        *(line for text in secrets.values() for line in text.splitlines()),
    } - PLAIN
    image = archive(name)
    files = [(member.name, content) for member, content in image.members()]

    assert [] == [word for word in traces if word in json.dumps(image.config) or "://" in json.dumps(image.config)]
    assert [] == [path for path, content in files for word in traces if word.encode() in content]
    assert bundle not in [content for _, content in files if content]
    assert {} == {path: content for path, content in files if path in {"etc/resolv.conf", "etc/hostname"} and content}
    assert {"etc/apt/sources.list", "run/secrets"}.isdisjoint(path for path, _ in files)
    assert [] == [path for path, content in files if f"\n{socket.gethostname()}\n".encode() in content]


@pytest.mark.parametrize("name", NAMES)
def test_labels_describe_the_image(archive: Callable[[str], Archive], name: str, version: str) -> None:
    image = archive(name)
    labels = image.config["config"]["Labels"]

    assert [f"docker.io/library/{name}:{version}"] == [
        tag if "/" in tag else f"docker.io/library/{tag}" for tag in image.tags
    ]
    assert (name, version) == tuple(labels[f"org.opencontainers.image.{key}"] for key in ("title", "version"))
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0 AND GPL-2.0-only"
    assert labels["org.opencontainers.image.description"]


def test_both_images_share_their_lower_layers(archive: Callable[[str], Archive]) -> None:
    agent, loader = (archive(name).layers for name in INSTALLED)

    # The last layer of each image is its own bill of materials.
    assert agent[:-1] == loader[: len(agent) - 1]


@pytest.mark.parametrize("name", INSTALLED)
def test_the_bill_of_materials_lists_the_installed_packages(
    archive: Callable[[str], Archive], run: Run, name: str, version: str
) -> None:
    """The bill has each package of dpkg and of Python in its version, and no other."""
    (content,) = (content for member, content in archive(name).members() if member.name == SBOM)
    bill = json.loads(content)
    found = {(kind(one), one["name"].lower(), one["version"]) for one in bill["components"] if kind(one)}
    dpkg = run(name, "dpkg-query", "--show", "--showformat", "deb ${Package} ${Version}\n").stdout
    pip = run(name, "/opt/oompolicy/bin/python3", "-c", LIST_PYTHON).stdout
    installed = {tuple(line.lower().split()) for line in (dpkg + pip).splitlines()}

    assert installed == {(which, each, value.lower()) for which, each, value in found}
    assert (f"{name}-image", version) == (
        bill["metadata"]["component"]["name"],
        bill["metadata"]["component"]["version"],
    )


def test_the_bill_of_the_debug_image_lists_debians_packages(
    archive: Callable[[str], Archive], run: Run, version: str
) -> None:
    """All packages of the debug image are Debian's, also those of Python."""
    (content,) = (content for member, content in archive("oompolicy-debug").members() if member.name == SBOM)
    bill = json.loads(content)
    found = {(one["name"], one["version"]) for one in bill["components"] if kind(one) == "deb"}
    dpkg = run("oompolicy-debug", "dpkg-query", "--show", "--showformat", "${Package} ${Version}\n").stdout

    assert {tuple(line.split()) for line in dpkg.splitlines()} == found
    assert ("oompolicy-debug-image", version) == (
        bill["metadata"]["component"]["name"],
        bill["metadata"]["component"]["version"],
    )


LIST_PYTHON = """
from importlib.metadata import distributions
for one in distributions():
    print("pypi", one.name, one.version)
"""


def kind(component: dict[str, str]) -> str | None:
    """Return `deb` or `pypi`, or None for Debian's sources. Our own wheel is on no index, and so has no URL."""
    if component["bom-ref"] == "root-component":
        return "pypi"
    match = re.match(r"pkg:(deb|pypi)/[^?]*(\?(?!.*arch=source).*)?$", component.get("purl", ""))
    return match[1] if match else None
