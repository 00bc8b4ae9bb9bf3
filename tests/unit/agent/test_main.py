# SPDX-License-Identifier: Apache-2.0
"""The command refuses wrong arguments, starts, and ends in order after a signal."""

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


def test_flags_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that is not given has its default, and the node's name may come from the environment."""
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
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 2."""
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
def test_a_flag_without_effect_is_an_error(flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """If the agent ignored it, the user would expect its effect in vain."""
    with pytest.raises(SystemExit):
        parse([*flags, "--node", "x"])

    assert sentence in capsys.readouterr().err


def test_with_an_api_server_there_is_no_folder() -> None:
    """The agent has exactly one source of objects, and each has its own flags."""
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
def test_missing_credentials_are_an_error(
    flags: list[str], sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one sentence with exit status 1, because the agent cannot repair it."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert 1 == main([*flags, "--node", "n", "--state-dir", str(tmp_path)])
    assert sentence in caplog.text


@pytest.mark.parametrize("lock", ["run-dir/agent.lock", "state-dir/lock"], ids=["of its own", "of version 0.1"])
def test_a_second_agent_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture, lock: str) -> None:
    """Two agents would take each other's records."""
    arguments = flags(tmp_path)
    with (tmp_path / lock).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert 1 == main(arguments)
    assert f"another agent runs on this node: it holds {tmp_path / lock}" in caplog.text


def test_a_state_directory_that_is_a_file_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The error is one sentence with exit status 1, because the command line is wrong."""
    arguments = flags(tmp_path)
    (tmp_path / "state-dir").rmdir()
    (tmp_path / "state-dir").write_text("a file")

    assert 1 == main(arguments)
    assert f"the state directory cannot be used: {tmp_path / 'state-dir'} is a file" in caplog.text


def test_a_missing_library_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libbpf is the one dependency that pip cannot install."""

    def absent() -> None:
        raise OSError("libbpf.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(module, "libbpf", absent)

    assert 1 == main(flags(tmp_path))
    assert "cannot start: libbpf.so.1: cannot open shared object file" in caplog.text


def test_an_object_that_cannot_be_checked_without_libbpf_is_an_error(
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


def test_a_bpf_object_with_another_layout_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The BPF object beside the package is the loader's, so its records must have the agent's layout."""
    (tmp_path / "oompolicy.bpf.o").write_bytes(b"nonsense")
    monkeypatch.setattr(module, "_OBJECT", tmp_path / "oompolicy.bpf.o")

    assert 1 == main(flags(tmp_path))
    assert "oompolicy.bpf.o: neither BTF nor an ELF file" in caplog.text


def test_a_signal_ends_the_agent_in_order(tmp_path: Path) -> None:
    """The exit status is 0 and the checkpoint is written. Without a loader the agent waited, and logged the reason."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/policy.json").write_text(json.dumps(raw_policy()))
    command = [sys.executable, "-m", "oompolicy_agent", *flags(tmp_path)]
    paths = os.pathsep.join(map(str, (AGENT, POLICY)))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}) as agent:
        assert agent.stderr
        lines = []
        for line in agent.stderr:
            lines.append(line)
            if "running on node node-1" in line:
                agent.send_signal(signal.SIGTERM)

    assert 0 == agent.returncode
    assert "the loader's pins are not there" in "".join(lines)
    assert ["OOMPolicy"] == [
        each["kind"] for each in json.loads((tmp_path / "state-dir/checkpoint.json").read_text())["objects"]
    ]


def test_a_silent_client_delays_no_probe(tmp_path: Path) -> None:
    """Any pod of the cluster can connect, and after failed probes the kubelet would kill the agent."""
    paths = os.pathsep.join(map(str, (AGENT, POLICY)))
    with reserved_port() as port:
        command = [sys.executable, "-m", "oompolicy_agent", *flags(tmp_path), "--listen", f"127.0.0.1:{port}"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as agent:
            assert agent.stderr
            assert any("running on node node-1" in line for line in agent.stderr)
            try:
                answer = probe_beside_a_slow_client(port)
            finally:
                agent.terminate()

    assert b"ok\n" == answer
    assert 0 == agent.returncode


def probe_beside_a_slow_client(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as slow:
        slow.sendall(b"G")
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            probe.request("GET", "/livez")
            return probe.getresponse().read()
        finally:
            probe.close()
