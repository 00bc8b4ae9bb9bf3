# SPDX-License-Identifier: Apache-2.0
"""kubectl runs the plugin from the archive that krew installs, and docs/cli.md shows its output."""

from __future__ import annotations

import os
import re
import shlex
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle.main import build
from tests.cluster import cliscene
from tests.cluster.errors import KubectlError
from tests.cluster.kubelet import answering
from tests.cluster.objects import node
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.kubectl import Kubectl

OUTPUT = re.compile(r"^\$ kubectl (oom .*)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)
AGE = re.compile(r"^(?:\d+[dhms])+ |(?<=  )(?:\d+[dhms])+(?=  )", re.MULTILINE)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack the archive into a folder of PATH, as krew does."""
    archive = build(tmp_path / "dist", "https://releases.example").plugin
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "bin", filter="data")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "bin/kubectl-oom"


def test_kubectl_lists_and_runs_the_plugin(plugin: Path, kubectl: Kubectl, api: Api) -> None:
    """The plugin uses the kubeconfig of kubectl."""
    api.create(node("node-a"))

    assert str(plugin) in kubectl("plugin", "list")
    assert "oomnode/node-a\n" == kubectl("oom", "nodes", "-o", "name")
    assert "NoOOMNode: " in kubectl("oom", "nodes")


@pytest.mark.usefixtures("plugin")
def test_messages_of_the_plugin_name_it_as_users_call_it(kubectl: Kubectl) -> None:
    """A user can copy the command of a message."""
    assert kubectl("oom", "explain", "--help").startswith("Usage: kubectl oom explain [OPTIONS] POD\n")
    with pytest.raises(KubectlError, match="Try 'kubectl oom --help' for help"):
        kubectl("oom", "nods")


def test_the_page_shows_the_output_of_the_plugin(plugin: Path, kubectl: Kubectl, cluster: Cluster, api: Api) -> None:
    """Only ages differ, and the spaces behind them."""
    cliscene.build(api)
    cliscene.kill(api, 12)
    cliscene.settings(api, "Enforce")
    shown = OUTPUT.findall((CHECKOUT / "docs/cli.md").read_text())
    with answering(api, cluster.pki.authority, "node-a", cliscene.facts()):
        printed = [kubectl(*shlex.split(command)) for command, _ in shown]
    print(plugin, *printed, sep="\n")  # pytest shows this with a failure

    assert 6 == len(shown)
    assert [words(text) for _, text in shown] == [words(text) for text in printed]


def words(text: str) -> list[list[str]]:
    """Return the words of each line, with one word for every age."""
    return [line.split() for line in AGE.sub(" AGE ", text).splitlines()]
