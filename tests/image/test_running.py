# SPDX-License-Identifier: Apache-2.0
"""The images run as in pods: read-only and without capabilities. Operator and agent do not run as root."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cluster.deployment import NAMESPACE
from tests.cluster.ports import reserved_port
from tests.cluster.waiting import eventually
from tests.image.container import ENDED, USER, Container, account_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.deployment import Deployment
    from tests.image.conftest import Run
    from tests.image.docker import Docker

START_SECONDS = 60.0
NODE = "image-node"
PROGRAMS = [
    ("oompolicy", "oompolicy-operator"),
    ("oompolicy", "oompolicy-agent"),
    ("oompolicy", "oompolicy-adjuster"),
    ("oompolicy", "oompolicy-release"),
    ("oompolicy-loader", "oompolicy-loader"),
    ("oompolicy-debug", "oompolicy-trace"),
]
# Those of docs/design/2026-11-22-node-contracts.md for a hook in a module.
CAPABILITIES = ("SYS_ADMIN", "SYS_MODULE", "CHOWN", "DAC_OVERRIDE")
FOLDERS = ("--tmpfs=/run/oompolicy", "--tmpfs=/var/lib/oompolicy")


@pytest.fixture
def container(
    docker: Docker, shared: Path, tmp_path: Path, version: str, request: pytest.FixtureRequest
) -> Iterator[Container]:
    shared.chmod(0o755)
    made = Container(docker, f"oompolicy:{version}", request.node.originalname, tmp_path)
    yield made
    made.remove()
    print(made.log_text())  # pytest shows this with a failure


@pytest.mark.parametrize(("image", "program"), PROGRAMS)
def test_each_program_starts(run: Run, image: str, program: str) -> None:
    done = run(image, program, "--help")

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(f"usage: {program} ")


def test_the_image_has_no_command_line(run: Run) -> None:
    """The script is part of the package, and its libraries would only enlarge the image."""
    done = run("oompolicy", "oompolicy", "nodes")

    assert (2, "") == (done.returncode, done.stdout)
    assert "Run: pipx install 'oompolicy[cli]'\n" in done.stderr


def test_operator_and_agent_are_not_root_and_write_nothing(run: Run) -> None:
    done = run("oompolicy", "sh", "-c", "id -u; id -g; id -G; touch /opt/oompolicy/mine /tmp/mine || echo refused")

    assert [str(USER), str(USER), str(USER), "refused"] == done.stdout.split()


@pytest.mark.parametrize(
    "module", ["oompolicy.controller.main", "oompolicy_agent.main", "oompolicy_agent.api.environment"]
)
def test_nothing_is_compiled_at_the_start(run: Run, module: str) -> None:
    """With a read-only root, a module without compiled code would be compiled at every start."""
    done = run("oompolicy", "/opt/oompolicy/bin/python3", "-v", "-c", f"import {module}")
    compiled = re.findall(r"^# code object from '?([^'\n]*)", done.stderr, re.MULTILINE)

    assert done.returncode == 0
    assert f"{module.rpartition('.')[2]}.cpython-313.pyc" in {path.rpartition("/")[2] for path in compiled}
    assert [] == [path for path in compiled if not path.endswith(".pyc")]


def test_the_operator_leads_in_a_real_cluster(container: Container, shared: Path, deployment: Deployment) -> None:
    """The operator leads with the account of `deploy/` at a real API server, and ends after SIGTERM."""
    pod = account_options(deployment.operator_kubeconfig(), shared)
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        command = ("oompolicy-operator", f"--namespace={NAMESPACE}", f"--listen=127.0.0.1:{port}")
        container.start(*command, options=pod)

        def leads() -> tuple[bool, int]:
            return "oompolicy_operator_leader 1.0" in container.ask(f"{url}/metrics")[1], container.ask(
                f"{url}/readyz"
            )[0]

        assert (True, 200) == eventually(
            leads, lambda seen: seen == (True, 200) or seen[1] == ENDED, deadline=START_SECONDS
        )
        assert container.end() == 0


def test_the_agent_reports_missing_maps(container: Container, shared: Path, deployment: Deployment, api: Api) -> None:
    """The agent reads the API server, but is not ready without the loader's maps."""
    api.node(NODE)
    pod = account_options(deployment.agent_kubeconfig(NODE), shared)
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}/readyz"
        command = ("oompolicy-agent", "--in-cluster", "--impersonate-node", f"--node={NODE}")
        folders = (f"--tmpfs=/run/oompolicy:uid={USER}", f"--tmpfs=/var/lib/oompolicy:uid={USER}")
        container.start(*command, f"--listen=127.0.0.1:{port}", options=(*pod, *folders))

        status, reasons = eventually(
            lambda: container.ask(url),
            lambda answer: "bpf/oompolicy" in answer[1] or answer[0] == ENDED,
            deadline=START_SECONDS,
        )
        assert status == 503, reasons
        assert container.end() == 0


def test_the_loader_reports_a_missing_feature_in_one_sentence(run: Run) -> None:
    """The loader has exactly the capabilities that it needs.

    The container has no bpffs, so every node lacks something.
    """
    given = (*(f"--cap-add={name}" for name in CAPABILITIES), "--network=none")
    done = run("oompolicy-loader", "oompolicy-loader", "attach", options=(*given, *FOLDERS))

    assert (0, "") == (done.returncode, done.stderr)
    report = json.loads(done.stdout)
    assert ("ObserveOnly", False) == (report["backend"], report["attached"])
    assert re.fullmatch(r"[^.;]*(cgroup|BTF|BPF file system|memory controller)[^;]*", report["message"])
    print(report["message"])


def test_the_debug_image_has_bcc_and_colours(run: Run) -> None:
    """The tool imports bcc only when it attaches, and rich only on a terminal."""
    done = run("oompolicy-debug", "python3", "-c", "import bcc, rich")

    assert (0, "") == (done.returncode, done.stderr)


def test_the_witness_is_the_entry_point_of_its_image(docker: Docker, version: str) -> None:
    """`kubectl debug` without a command runs it."""
    done = docker.run("--network=none", "--read-only", f"oompolicy-debug:{version}", "--help")

    assert done.stdout.startswith("usage: oompolicy-trace ")


def test_the_loader_is_the_entry_point_of_its_image(docker: Docker, version: str) -> None:
    """The loader is the entry point, so that a pod can give arguments only."""
    done = docker.run("--network=none", "--read-only", f"oompolicy-loader:{version}", "detach", "--help")

    assert done.stdout.startswith("usage: oompolicy-loader detach ")


@pytest.mark.parametrize("image", ["oompolicy", "oompolicy-loader"])
def test_containerd_imports_the_tar_with_the_name_that_pods_use(docker: Docker, image: str, version: str) -> None:
    """A node without a registry can import the tar. Here the engine's own containerd imports it for the kubelet."""
    ctr = docker.argv("ctr", "--address=/run/docker/containerd/containerd.sock", "--namespace=k8s.io", "images")
    done = subprocess.run([*ctr, "import", f"/mnt/images/{image}.tar"], capture_output=True, text=True, check=False)
    listed = subprocess.run([*ctr, "list", "--quiet"], capture_output=True, text=True, check=True).stdout.split()

    assert done.returncode == 0, done.stderr
    assert f"docker.io/library/{image}:{version}" in listed
