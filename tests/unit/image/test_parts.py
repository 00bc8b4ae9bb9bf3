# SPDX-License-Identifier: Apache-2.0
"""The images' harness makes its decisions without Docker, and the locks agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.image import docker, lock, outside
from tests.image.build import INPUT_FOLDERS, INPUTS, inputs
from tests.image.errors import DockerError
from vmtest.cache import CHECKOUT
from vmtest.mirror import Source

if TYPE_CHECKING:
    from pathlib import Path

STATUS = """Package: a
Status: install ok installed
Version: 1:2-3
Description: one
 Version: not this

Package: gone
Status: deinstall ok config-files
Version: 1
"""


def pins(text: str) -> dict[str, str]:
    """Return name and version of each `name==version`. The names are normalized as those of an index."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_image_has_the_versions_of_development() -> None:
    """If this fails, `python3 -m tests.image.lock` writes the lists again."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    developed = pins("\n".join(project["dependency-groups"]["dev"]))
    locked = pins((CHECKOUT / "image/requirements.txt").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = pins("\n".join(re.sub(r"[>=].*", "==", each) + "0" for each in [*extras["operator"], *extras["agent"]]))

    assert {name: developed[name] for name in wanted} == {name: locked[name] for name in wanted}
    assert "pyyaml" in locked


def test_the_image_has_no_library_of_the_command_line() -> None:
    """kopf needs click too. The other libraries would only enlarge the image."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    others = {*extras["operator"], *extras["agent"], "click>=8.4"}
    locked = pins((CHECKOUT / "image/requirements.txt").read_text())

    assert ["rich>=14"] == [each for each in extras["cli"] if each not in others]
    assert "rich" not in locked


@pytest.mark.parametrize("name", ["requirements.txt", "tools.txt"])
def test_each_python_package_has_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z])", (CHECKOUT / "image" / name).read_text())[1:]

    assert entries
    assert [] == [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_images_key_covers_the_build_context() -> None:
    """The Dockerfile is not in the context, but is part of the key."""
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}

    assert let_in | {"Dockerfile", ".dockerignore"} == {*INPUTS, *INPUT_FOLDERS}
    assert {CHECKOUT / "Dockerfile", CHECKOUT / "image/install", CHECKOUT / "bpf/oompolicy.h"} <= set(inputs())
    assert CHECKOUT / "docs/images.md" not in inputs()


def test_the_status_file_has_the_installed_packages() -> None:
    assert lock.installed(STATUS) == {"a": "1:2-3"}


def test_the_lock_has_one_version_of_each_package() -> None:
    other = STATUS.replace("1:2-3", "1:2-4")

    assert lock.debian_lock([STATUS, STATUS]).splitlines()[-1] == "a 1:2-3"
    with pytest.raises(DockerError, match="a is 1:2-4 in one stage and 1:2-3 in another"):
        lock.debian_lock([STATUS, other])


def test_packages_come_from_the_machines_own_mirrors() -> None:
    sources = [
        Source("http://a/debian", "bookworm", "/usr/share/keyrings/mine.gpg"),
        Source("http://b/security", "bookworm-security", None),
    ]
    signed = f"[signed-by={outside.KEYRING}]"

    assert outside.apt_sources(sources, "bookworm").splitlines() == [
        f"deb {signed} http://a/debian trixie main",
        f"deb {signed} http://a/debian trixie-updates main",
        f"deb {signed} http://b/security trixie-security main",
    ]
    assert "security" not in outside.apt_sources(sources[:1], "bookworm")


def test_a_build_has_the_certificate_authorities_at_its_own_path() -> None:
    options = ['Acquire::http::Proxy "http://p:1";', 'Acquire::https::CaInfo "/etc/mine.pem";']

    assert outside.apt_conf(options) == (
        'Acquire::http::Proxy "http://p:1";\nAcquire::https::CaInfo "/run/secrets/ca.pem";\n'
    )


def test_pip_gets_the_index_and_no_paths_of_the_machine() -> None:
    settings = {"index-url": "https://i/simple", "cert": "/etc/mine.pem", "find-links": "/opt", "retries": "3"}

    assert outside.pip_conf(settings) == "[global]\nindex-url = https://i/simple\nretries = 3\n"


def test_the_certificate_authorities_are_those_of_pip(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()

    assert outside.authorities({"PIP_CERT": str(bundle), "SSL_CERT_FILE": "/else"}) == bundle
    assert outside.authorities({"PIP_CERT": "/not/there"}) != bundle


def test_only_the_proxies_of_the_environment_are_passed_on() -> None:
    environment = {"https_proxy": "http://p:1", "HOME": "/root"}

    assert outside.proxies(environment) == ["--build-arg=https_proxy=http://p:1"]


def test_docker_uses_neither_the_network_nor_another_docker(tmp_path: Path) -> None:
    """It has no bridge, no firewall rules and a socket of its own, and it ends with its parent."""
    argv = docker.command(tmp_path / "root", tmp_path / "data", {"work": tmp_path})

    assert argv[:4] == ["setpriv", "--pdeathsig", "KILL", "--"]
    assert {"--bridge=none", "--iptables=false", "--ip6tables=false", "--host=unix:///run/docker.sock"} <= set(argv)
    assert argv[argv.index("--mount") - 1] == "unshare"
    assert [str(tmp_path), "work", "--", "dockerd"] == argv[argv.index("dockerd") - 3 : argv.index("dockerd") + 1]
