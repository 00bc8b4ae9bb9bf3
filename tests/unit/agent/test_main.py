# SPDX-License-Identifier: Apache-2.0
"""The command: what it refuses, how it starts, and that a signal ends it in order."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from oompolicy_agent import main as module
from oompolicy_agent.kernel import btf
from oompolicy_agent.main import main
from oompolicy_agent.settings import parse
from tests.cluster.ports import reserved_port
from tests.unit.agent.fakes import raw_policy

AGENT = Path(__file__).parents[3] / "agent"
POLICY = Path(__file__).parents[3] / "operator"


def flags(folder: Path) -> list[str]:
    made = []
    for name in ("manifests", "state-dir", "run-dir", "bpffs", "cgroup-root"):
        (folder / name).mkdir(exist_ok=True)
        made += [f"--{name}", str(folder / name)]
    return [*made, "--node", "node-1"]


def test_flags_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not given has its default; the node's name may come from the environment."""
    monkeypatch.setenv("NODE_NAME", "node-7")
    found = parse(["--manifests", str(tmp_path), "--listen", "[::1]:8080", "--output-format", "json"])

    assert (tmp_path, "node-7", "-", "json", ("::1", 8080)) == (
        found.manifests, found.node, found.output, found.output_format, found.listen
    )  # fmt: skip
    assert Path("/var/lib/oompolicy/spool") == found.spool


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--manifests", "x"],
        ["--in-cluster"],
        ["--node", "x"],
        ["--manifests", "x", "--in-cluster", "--node", "x"],
        ["--kubeconfig", "x", "--in-cluster", "--node", "x"],
        ["--manifests", "x", "--kubeconfig", "x", "--node", "x"],
        ["--manifests", "x", "--impersonate-node", "--node", "x"],
        ["--in-cluster", "--output", "x", "--node", "x"],
        ["--kubeconfig", "x", "--output-format", "json", "--node", "x"],
        ["--manifests", "x", "--node", "x", "--listen", "8080"],
        ["--manifests", "x", "--node", "x", "--listen", "host:70000"],
        ["--manifests", "x", "--node", "x", "--output-format", "xml"],
    ],
)
def test_a_wrong_command_line_is_usage(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 2."""
    monkeypatch.delenv("NODE_NAME", raising=False)
    with pytest.raises(SystemExit) as error:
        parse(arguments)

    assert 2 == error.value.code


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--manifests", "x", "--impersonate-node"], "--impersonate-node is for the API server, not for --manifests"),
        (["--in-cluster", "--output", "x"], "--output: with an API server, Events go there"),
    ],
)
def test_a_flag_that_says_nothing_is_explained(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not ignored: whoever wrote it expects something of it."""
    with pytest.raises(SystemExit):
        parse([*flags, "--node", "x"])

    assert sentence in capsys.readouterr().err


def test_with_an_api_server_there_is_no_folder() -> None:
    """One of three, each with the flags that belong to it."""
    found = parse(["--kubeconfig", "k", "--node", "n", "--impersonate-node"])

    assert (None, Path("k"), False, True) == (
        found.manifests, found.kubeconfig, found.in_cluster, found.impersonate_node
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--kubeconfig", "/nowhere"], "cannot start: the kubeconfig /nowhere does not exist"),
        (["--in-cluster"], "cannot start: this pod's service account cannot be used: "),
    ],
)
def test_missing_credentials_are_said(
    flags: list[str], sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, exit status 1: nothing of the agent's can repair that."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert 1 == main([*flags, "--node", "n", "--state-dir", str(tmp_path)])
    assert sentence in caplog.text


@pytest.mark.parametrize("lock", ["run-dir/agent.lock", "state-dir/lock"], ids=["of its own", "of version 0.1"])
def test_a_second_agent_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture, lock: str) -> None:
    """Two readers would take records from each other."""
    arguments = flags(tmp_path)
    with (tmp_path / lock).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert 1 == main(arguments)
    assert f"another agent runs on this node: it holds {tmp_path / lock}" in caplog.text


def test_a_state_directory_that_is_a_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One sentence, exit status 1: the command line is wrong."""
    arguments = flags(tmp_path)
    (tmp_path / "state-dir").rmdir()
    (tmp_path / "state-dir").write_text("a file")

    assert 1 == main(arguments)
    assert f"the state directory cannot be used: {tmp_path / 'state-dir'} is a file" in caplog.text


def test_a_missing_library_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libbpf is the one thing that pip cannot bring."""

    def absent() -> None:
        raise OSError("libbpf.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(module, "libbpf", absent)

    assert 1 == main(flags(tmp_path))
    assert "cannot start: libbpf.so.1: cannot open shared object file" in caplog.text


def test_without_libbpf_an_installed_object_cannot_be_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent reads the object's types through libbpf too, and reports the same error if it is missing."""

    def absent() -> None:
        raise OSError("libbpf.so.1: cannot open shared object file: No such file or directory")

    (tmp_path / "oompolicy.bpf.o").write_bytes(b"nonsense")
    monkeypatch.setattr(module, "_OBJECT", tmp_path / "oompolicy.bpf.o")
    monkeypatch.setattr(btf, "libbpf", absent)

    assert 1 == main(flags(tmp_path))
    assert "cannot start: libbpf.so.1: cannot open shared object file" in caplog.text


def test_another_layout_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The BPF object beside the package is the loader's: what it writes must be what we read."""
    (tmp_path / "oompolicy.bpf.o").write_bytes(b"nonsense")
    monkeypatch.setattr(module, "_OBJECT", tmp_path / "oompolicy.bpf.o")

    assert 1 == main(flags(tmp_path))
    assert "oompolicy.bpf.o: neither BTF nor an ELF file" in caplog.text


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    """Exit status 0, the checkpoint written; without a loader it waited, and said why."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/policy.json").write_text(json.dumps(raw_policy()))
    command = [sys.executable, "-m", "oompolicy_agent", *flags(tmp_path)]
    paths = os.pathsep.join(map(str, (AGENT, POLICY)))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}) as agent:
        assert agent.stderr
        said = []
        for line in agent.stderr:
            said.append(line)
            if "running on node node-1" in line:
                agent.send_signal(signal.SIGTERM)

    assert 0 == agent.returncode
    assert "the loader's pins are not there" in "".join(said)
    assert ["OOMPolicy"] == [
        each["kind"] for each in json.loads((tmp_path / "state-dir/checkpoint.json").read_text())["objects"]
    ]


def test_a_client_that_says_nothing_takes_no_probe_from_the_agent(tmp_path: Path) -> None:
    """Any pod of the cluster reaches the port, and the kubelet would kill the agent for it."""
    paths = os.pathsep.join(map(str, (AGENT, POLICY)))
    with reserved_port() as port:
        command = [sys.executable, "-m", "oompolicy_agent", *flags(tmp_path), "--listen", f"127.0.0.1:{port}"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as agent:
            assert agent.stderr
            assert any("running on node node-1" in line for line in agent.stderr)
            try:
                answer = probed_beside_a_slow_client(port)
            finally:
                agent.terminate()

    assert b"ok\n" == answer
    assert 0 == agent.returncode


def probed_beside_a_slow_client(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as slow:
        slow.sendall(b"G")
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            probe.request("GET", "/livez")
            return probe.getresponse().read()
        finally:
            probe.close()
