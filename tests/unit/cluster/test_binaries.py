# SPDX-License-Identifier: Apache-2.0
"""The cluster tests' programs are found and their builds are described, without building them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.cluster import reading
from tests.cluster.binaries import ensure_binaries
from tests.cluster.errors import BinariesError
from tests.cluster.golang import find_go, oldest_go, parse_version
from tests.cluster.kubernetes import OTHERS, SOURCES, VARIABLE, build_arguments, kubernetes, version
from vmtest.cache import CHECKOUT

GO_MOD = (SOURCES / "go.mod").read_text()


def programs(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_the_programs_have_the_version_of_kubernetes() -> None:
    """Clients decide by the version which requests they may send."""
    arguments = " ".join(build_arguments("v1.36.4"))

    assert "-X k8s.io/component-base/version.gitVersion=v1.36.4" in arguments
    assert "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36" in arguments


@pytest.mark.parametrize("sources", [SOURCES, *OTHERS.values()], ids=lambda sources: sources.name)
def test_all_modules_of_kubernetes_have_one_version(sources: Path) -> None:
    """k8s.io/kubernetes 1.x.y needs its staging modules at 0.x.y."""
    go_mod = (sources / "go.mod").read_text()
    staging = version(go_mod).replace("v1.", "v0.", 1)
    replaced = [line.split() for line in go_mod.splitlines() if " => k8s.io/" in line]

    assert len(replaced) > 25
    assert {staging} == {words[-1] for words in replaced}


def minor(sources: Path) -> int:
    return int(version((sources / "go.mod").read_text()).split(".")[1])


def test_the_oldest_kubernetes_is_the_oldest_that_the_chart_accepts() -> None:
    """The newest is newer than the Kubernetes of all other tests."""
    chart = yaml.safe_load((CHECKOUT / "charts/oompolicy/Chart.yaml").read_text())

    assert f">=1.{minor(OTHERS['oldest'])}.0-0" == chart["kubeVersion"]
    assert minor(OTHERS["oldest"]) < minor(SOURCES) < minor(OTHERS["newest"])


def test_a_variable_selects_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version has its own place in the cache."""
    monkeypatch.delenv(VARIABLE, raising=False)
    keys = {kubernetes().key}
    for name in OTHERS:
        monkeypatch.setenv(VARIABLE, name)
        keys.add(kubernetes().key)
    monkeypatch.setenv(VARIABLE, "1.30")

    assert 3 == len(keys)
    with pytest.raises(BinariesError, match=r"=1\.30 selects no Kubernetes: set it to oldest or newest"):
        kubernetes()


def test_the_reader_has_the_same_version() -> None:
    """It has its own go.mod, because the other one requires a build of all of Kubernetes."""
    required = re.findall(
        r"^(?:require |\t)(k8s\.io/apimachinery|sigs\.k8s\.io/yaml|go\.yaml\.in/yaml/v2) (v\S+)", GO_MOD, re.M
    )

    assert 3 == len(required)
    assert all(f"{module} {version}" in (reading.SOURCES / "go.mod").read_text() for module, version in required)


def test_our_own_program_is_built_again_when_it_changes(tmp_path: Path) -> None:
    for file in reading.SOURCES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    program = replace(reading.PROGRAM, sources=tmp_path)
    before = program.key
    (tmp_path / "main.go").write_text("package main\n")

    assert before != program.key


def test_another_version_is_another_build(tmp_path: Path) -> None:
    """The key in the cache includes all inputs and flags of the build."""
    (tmp_path / "go.sum").write_bytes((SOURCES / "go.sum").read_bytes())
    (tmp_path / "go.mod").write_text(GO_MOD)
    same = kubernetes(tmp_path).key
    (tmp_path / "go.mod").write_text(GO_MOD.replace("\tk8s.io/kubernetes v1.36.4 ", "\tk8s.io/kubernetes v1.36.5 "))

    assert kubernetes().key == same != kubernetes(tmp_path).key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/amd64", (1, 27, 0)),
        ("go version go1.27rc1 linux/amd64", (1, 27, 0)),
        ("gccgo (Debian) 12.2.0", (0, 0, 0)),
    ],
)
def test_the_version_of_go_is_read(text: str, expected: tuple[int, int, int]) -> None:
    """Another program counts as too old."""
    assert expected == parse_version(text)


def test_the_machines_go_is_used_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs the version in go.mod."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.26.0 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert go == find_go(oldest_go(GO_MOD), tmp_path)


def test_assets_have_all_three_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is as envtest makes it."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs(tmp_path, "etcd", "kubectl", "kube-apiserver")))

    assert tmp_path / "kube-apiserver" == ensure_binaries().apiserver


def test_assets_without_a_program_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that gives a folder does not want a build of a quarter of an hour instead."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs(tmp_path, "etcd")))

    with pytest.raises(BinariesError, match=r"has no kube-apiserver, no kubectl$"):
        ensure_binaries()
