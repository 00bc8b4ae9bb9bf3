# SPDX-License-Identifier: Apache-2.0
"""kubectl runs the plugin from the archive that krew installs."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle.main import build
from tests.cluster.errors import KubectlError
from tests.cluster.objects import node

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl


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
